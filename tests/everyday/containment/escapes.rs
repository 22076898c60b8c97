//! Programs that want to reach something outside: each asserts that it cannot, so that it passes where it is contained.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{USUAL, check, not_passed, passed, timed};

/// `denied(action)`: the action fails as the system has it.
const DENIED: &str = "\
import ctypes, os, posix, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def denied(action, *args):
    try:
        result = action(*args)
    except OSError:
        return True
    # Functions of C say -1.
    assert result == -1, (action, args, result)
    return True
";

fn contained(program: &str) {
    let Some(sandbox) = &*USUAL else { return };
    let verdict = timed(sandbox, &format!("{DENIED}{program}"));
    assert!(verdict.is_passed(), "{verdict}: {program}");
}

#[test]
fn there_is_no_network_and_no_socket_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).unwrap();
    let name = format!("zoo-test-{}", std::process::id());
    let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let (tcp_port, udp_port) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    contained(&format!(
        "denied(socket.create_connection, ('127.0.0.1', {tcp_port}), 2)\n\
         denied(socket.create_connection, ('192.0.2.1', 80), 2)\n\
         denied(socket.create_connection, ('example.com', 80), 2)\n\
         denied(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {udp_port})))\n\
         denied(socket.getaddrinfo, 'example.com', 80)\n\
         for family in range(0, 46):\n    for kind in range(1, 11):\n        if family != socket.AF_UNIX: denied(socket.socket, family, kind)\n\
         denied(socket.socket(socket.AF_UNIX).connect, {:?})\n\
         denied(socket.socket(socket.AF_UNIX).connect, '\\0{name}')",
        path.to_str().unwrap()
    ));
    for quiet in [
        tcp.set_nonblocking(true),
        udp.set_nonblocking(true),
        unix.set_nonblocking(true),
        hidden.set_nonblocking(true),
    ] {
        quiet.unwrap();
    }
    assert!(
        tcp.accept().is_err()
            && unix.accept().is_err()
            && hidden.accept().is_err()
            && udp.recv(&mut [0]).is_err()
    );
}

#[test]
fn nothing_outside_is_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    contained(&format!(
        "for path in ('/x', '/usr/x', '/usr/lib/x', '/bin/x', '/etc/x', '/dev/x', '/lib/x', '/program.py', {:?}, '/root/x', '/home/x',\n             \
         '/var/x', '/usr/bin/env', sys.executable, os.__file__, '../../x', '/dev/../x'):\n    denied(open, path, 'a')\n    denied(posix.unlink, path)\n    \
         denied(posix.mkdir, path + 'd')\n    denied(posix.chmod, path, 0o777)\n    denied(posix.rename, path, path + 'y')\n    \
         denied(posix.truncate, path, 0)\n    denied(posix.utime, path)\n\
         denied(libc.mount, b'none', b'/tmp', b'tmpfs', 0, None)\n\
         denied(libc.mount, None, b'/usr', None, 32 | 4096, None)\n\
         denied(libc.umount2, b'/usr', 2)\n\
         denied(libc.chroot, b'/tmp')\n\
         denied(libc.pivot_root if hasattr(libc, 'pivot_root') else lambda *a: -1, b'.', b'.')",
        folder.path().join("x").to_str().unwrap()
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn nothing_outside_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    // An interpreter may be installed anywhere.
    let Some(sandbox) = &*USUAL else { return };
    let own: Vec<PathBuf> = sandbox.interpreter().folders.clone();
    let outside = "/etc/shadow /etc/passwd /etc/ssh /proc /proc/1/environ /proc/self/root /sys /run /var /old /mnt /boot /dev/sda \
                   /dev/mem /dev/kmsg /dev/tty";
    let mut outside: Vec<&str> = outside.split(' ').collect();
    outside.retain(|path| !own.iter().any(|folder| folder.starts_with(path)));
    let shown = |below: &str| -> Vec<String> {
        let names = own.iter().filter_map(|folder| folder.strip_prefix(below).ok()?.iter().next());
        names.map(|name| name.to_str().unwrap().to_owned()).collect()
    };
    let (top, in_tmp) = (shown("/"), shown("/tmp"));
    contained(&format!(
        "for path in {outside:?} + [{:?}]:\n    denied(open, path)\n    denied(posix.listdir, path)\n\
         denied(open, {:?})\n\
         assert not any(name.startswith('.ssh') or name.startswith('.bash') for name in (posix.listdir({home:?}) if os.path.isdir({home:?}) else []))\n\
         assert set(posix.listdir('/')) <= {{'bin', 'dev', 'etc', 'lib', 'lib64', 'program.py', 'sbin', 'tmp', 'usr'}} | set({top:?}), \
         posix.listdir('/')\n\
         assert set(posix.listdir('/dev')) <= {{'null', 'zero', 'full', 'random', 'urandom', 'shm'}}\n\
         assert set(posix.listdir('/tmp')) <= set({in_tmp:?})\n\
         assert set(os.environ) <= {{'PATH', 'HOME', 'LANG', 'LC_CTYPE', 'PYTHONHASHSEED', 'OMP_NUM_THREADS'}}, os.environ\n\
         for fd in range(3, 1000):\n    denied(posix.read, fd, 1)\n\
         denied(posix.fchdir, 0)",
        folder.path().to_str().unwrap(),
        secret.to_str().unwrap(),
    ));
}

#[test]
fn links_lead_nowhere() {
    contained(
        "for n, path in enumerate(('/etc/shadow', '/old/etc/shadow', '../../../../etc/shadow', '/proc/1/root/etc/shadow')):\n    \
         posix.symlink(path, 'l%d' % n)\n    denied(open, 'l%d' % n)\n\
         denied(posix.link, '/usr/bin/env', 'env')\n\
         denied(posix.link, '/program.py', 'program')\n\
         posix.symlink('/usr', 'usr')\n\
         denied(open, 'usr/x', 'w')\n\
         denied(posix.mknod, 'device', 0o600 | 0o060000, 0x0800)\n\
         denied(posix.open, '/dev/../../../etc/shadow', 0)",
    );
}

#[test]
fn other_processes_are_out_of_reach() {
    contained(
        "assert posix.getppid() == 1 and posix.getuid() > 0 and posix.getgid() > 0 and all(group in (posix.getgid(), 65534) for group in posix.getgroups())\n\
         posix.kill(1, 9)\n\
         posix.kill(1, 15)\n\
         posix.kill(1, 19)\n\
         denied(posix.kill, -1, 9)\n\
         for pid in list(range(3, 400)) + [2 ** 21]:\n    if pid != posix.getpid(): denied(posix.kill, pid, 9)\n\
         for request in (16, 0x4206, 0): denied(libc.ptrace, request, 1, None, None)\n\
         denied(libc.process_vm_readv, 1, None, 0, None, 0, 0)\n\
         denied(libc.prlimit, 1, 7, None, None)\n\
         denied(posix.setpriority, 0, 1, 19)\n\
         denied(posix.sched_setaffinity, 1, {0})\n\
         denied(posix.setuid, 0)\n\
         denied(posix.setgid, 0)\n\
         denied(posix.setgroups, [0])",
    );
    // Its own group of processes, in which nobody outside is, and everybody at once.
    check(&[("import posix\nposix.kill(0, 9)\nwhile True: pass", not_passed)]);
    check(&[("import posix, signal\nsignal.signal(15, signal.SIG_IGN)\nposix.kill(0, 15)", passed)]);
    check(&[(
        "import posix, time\nif posix.fork() == 0: time.sleep(100)\nposix.kill(-1, 15)\nposix.wait()",
        passed,
    )]);
}

#[test]
fn the_kernel_offers_little() {
    contained(
        "import platform\n\
         calls = {'x86_64': dict(ptrace=101, mount=165, unshare=272, setns=308, clone3=435, keyctl=250, add_key=248, request_key=249, bpf=321,\n    \
         perf_event_open=298, io_uring_setup=425, userfaultfd=323, memfd_create=319, shmget=29, msgget=68, open_by_handle_at=304,\n    \
         init_module=175, kexec_load=246, reboot=169, swapon=167, pidfd_open=434, pidfd_getfd=438, personality=135, kcmp=312, acct=163,\n    \
         fsopen=430, open_tree=428, move_mount=429, mount_setattr=442, chroot=161, pivot_root=155, setuid=105, sethostname=170,\n    \
         quotactl=179, lookup_dcookie=212, iopl=172, modify_ldt=154, x32_getpid=0x40000000 + 39, x32_ptrace=0x40000000 + 521),\n    \
         'aarch64': dict(ptrace=117, mount=40, unshare=97, setns=268, clone3=435, keyctl=219, bpf=280, perf_event_open=241,\n    \
         io_uring_setup=425, memfd_create=279)}[platform.machine()]\n\
         for name, number in calls.items():\n    assert libc.syscall(number, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 38, (name, ctypes.get_errno())\n\
         clone = {'x86_64': 56, 'aarch64': 220}[platform.machine()]\n\
         for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):\n    \
         assert libc.syscall(clone, flag | 17, 0, 0, 0, 0) == -1 and ctypes.get_errno() == 38, hex(flag)\n    \
         denied(libc.unshare, flag)",
    );
}

/// What the second helper does to mounts, it does in namespaces of its own alone.
#[test]
fn nobody_else_starts_the_second_helper() {
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let mut helper = Command::new(env!("CARGO_BIN_EXE_zoo"));
    let output = helper.args(["__sandbox", "inside"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && said.contains("process 1 of new namespaces"), "{said}");
    assert_eq!(mounts(), before);
}

//! The system calls that a program has. All others are answered as by a kernel that does not know them (`ENOSYS`), so that libraries
//! fall back on what there is: there are no keys, no BPF, no io_uring, no tracing, no performance counters, no namespaces, no
//! mounts, and no sockets but local ones.

use std::collections::BTreeMap;

use libc::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use super::Doing;

/// On all processors.
const CALLS: &[c_long] = &[
    // Files.
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_close,
    SYS_close_range,
    SYS_openat,
    SYS_lseek,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_ftruncate,
    SYS_truncate,
    SYS_fallocate,
    SYS_fsync,
    SYS_fdatasync,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_umask,
    SYS_dup,
    SYS_dup3,
    SYS_fcntl,
    SYS_flock,
    SYS_ioctl,
    SYS_pipe2,
    SYS_splice,
    SYS_tee,
    SYS_copy_file_range,
    SYS_sendfile,
    SYS_statfs,
    SYS_fstatfs,
    SYS_eventfd2,
    // Memory.
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_brk,
    SYS_mincore,
    SYS_msync,
    SYS_membarrier,
    // Signals.
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_sigaltstack,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_signalfd4,
    // Time.
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_times,
    SYS_getitimer,
    SYS_setitimer,
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_gettime,
    SYS_timer_getoverrun,
    SYS_timer_delete,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
    // Processes and threads.
    SYS_exit,
    SYS_exit_group,
    SYS_wait4,
    SYS_waitid,
    SYS_execve,
    SYS_execveat,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getpgid,
    SYS_setpgid,
    SYS_getsid,
    SYS_setsid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getgroups,
    SYS_getresuid,
    SYS_getresgid,
    SYS_set_tid_address,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_futex,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_getpriority,
    SYS_getrlimit,
    SYS_setrlimit,
    SYS_getrusage,
    SYS_getcpu,
    SYS_prctl,
    SYS_capget,
    // The machine.
    SYS_sysinfo,
    SYS_uname,
    SYS_getrandom,
    // Waiting.
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    // Sockets, once they are there.
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_connect,
    SYS_getsockname,
    SYS_getpeername,
    SYS_setsockopt,
    SYS_getsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_sendmmsg,
    SYS_recvmmsg,
    SYS_shutdown,
];

/// Older names of the same.
#[cfg(target_arch = "x86_64")]
const OLDER_CALLS: &[c_long] = &[
    SYS_open,
    SYS_creat,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_getdents,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_link,
    SYS_symlink,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_dup2,
    SYS_pipe,
    SYS_eventfd,
    SYS_signalfd,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_alarm,
    SYS_pause,
    SYS_time,
    SYS_getpgrp,
    SYS_fork,
    SYS_vfork,
    SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CALLS: &[c_long] = &[];

/// Flags of `clone` that make namespaces.
const NEW_NAMESPACES: c_int =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/// Leaves this process and all that it starts with these calls.
pub(super) fn restrict() -> Result<(), String> {
    let filter = filter().doing("the list of system calls is wrong")?;
    apply_filter(&filter).doing("the kernel takes no list of system calls (seccomp)")
}

fn filter() -> Result<BpfProgram, String> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        CALLS.iter().chain(OLDER_CALLS).map(|call| (*call, Vec::new())).collect();
    let local = when(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, AF_UNIX as u64)?;
    rules.insert(SYS_socket, vec![local.clone()]);
    rules.insert(SYS_socketpair, vec![local]);
    let mask = SeccompCmpOp::MaskedEq(NEW_NAMESPACES as u32 as u64);
    rules.insert(SYS_clone, vec![when(0, SeccompCmpArgLen::Qword, mask, 0)?]);
    // Limits of the process itself, not of its supervisor.
    rules.insert(SYS_prlimit64, vec![when(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 0)?]);
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| format!("{error}"))?;
    let unknown = SeccompAction::Errno(ENOSYS as u32);
    let filter = SeccompFilter::new(rules, unknown, SeccompAction::Allow, architecture);
    filter.and_then(TryInto::try_into).map_err(|error| error.to_string())
}

/// A rule of one argument.
fn when(argument: u8, length: SeccompCmpArgLen, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(argument, length, is, value).map_err(|error| error.to_string())?;
    SeccompRule::new(vec![condition]).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_calls_are_not_on_the_list() {
        for call in [
            SYS_ptrace,
            SYS_process_vm_readv,
            SYS_process_vm_writev,
            SYS_mount,
            SYS_umount2,
            SYS_pivot_root,
            SYS_chroot,
            SYS_unshare,
            SYS_setns,
            SYS_clone3,
            SYS_bpf,
            SYS_perf_event_open,
            SYS_keyctl,
            SYS_add_key,
            SYS_request_key,
            SYS_io_uring_setup,
            SYS_userfaultfd,
            SYS_memfd_create,
            SYS_shmget,
            SYS_msgget,
            SYS_open_by_handle_at,
            SYS_init_module,
            SYS_kexec_load,
            SYS_reboot,
            SYS_swapon,
            SYS_setuid,
            SYS_socket,
            SYS_clone,
            SYS_prlimit64,
            SYS_pidfd_getfd,
            SYS_personality,
        ] {
            assert!(!CALLS.contains(&call) && !OLDER_CALLS.contains(&call), "{call}");
        }
        assert!(filter().unwrap().len() > CALLS.len());
    }
}

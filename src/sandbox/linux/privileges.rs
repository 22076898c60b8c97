//! Privileges given up for good, and limits of the kernel's own: from here on the supervisor can do no more than the program.

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, geteuid, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Doing;
use super::enter::{die_with_parent, each};
use crate::sandbox::Limits;

/// The first of the user ids that root gives to programs: above those that systems give out, and below 2³¹.
const FIRST_ID: u32 = 0x7000_0000;

/// Gives up everything; `number` tells this sandbox from others that run beside it.
pub(super) fn give_up(number: u32) -> Result<(), String> {
    for capability in each(CapabilitySet::from_bits_retain(u64::MAX)) {
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // There are no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(format!("prctl(PR_CAPBSET_DROP): {error}")),
        }
    }
    clear_ambient_capability_set().doing("prctl(PR_CAP_AMBIENT)")?;
    if geteuid().is_root() {
        let id = FIRST_ID + number;
        let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
        set_thread_groups(&[]).doing("setgroups")?;
        set_thread_res_gid(group, group, group).doing("setresgid")?;
        set_thread_res_uid(user, user, user).doing("setresuid")?;
    }
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, none).doing("capset")?;
    set_no_new_privs(true).doing("prctl(PR_SET_NO_NEW_PRIVS)")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).doing("prctl(PR_SET_DUMPABLE)")?;
    // A change of users has undone it.
    die_with_parent()
}

/// Limits of each process. That of memory is set by the driver, which needs less than the supervisor.
pub(super) fn limit(limits: &Limits) -> Result<(), String> {
    let seconds = limits.seconds.ceil() as u64 + 2;
    let mut all = vec![
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, limits.open_files),
        (Resource::Core, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Sigpending, 256),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    if counts_by_namespace() {
        all.push((Resource::Nproc, limits.processes));
    }
    for (resource, most) in all {
        let most = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, most).doing(&format!("setrlimit({resource:?})"))?;
    }
    // SIGXCPU comes at the first and says what happened; SIGKILL, at the second, does not.
    let most = Rlimit { current: Some(seconds), maximum: Some(seconds + 1) };
    setrlimit(Resource::Cpu, most).doing("setrlimit(Cpu)")
}

/// Whether the kernel counts a user's processes in each user namespace by itself, as it does since 5.14. Before, all that the user
/// runs would count, and the watch alone limits them.
fn counts_by_namespace() -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 14)
}

//! The first helper: new namespaces, and a second helper as process 1 of them.
//!
//! Root of the machine needs no user namespace, and where others may not make one it still can contain programs; they get a user id
//! that nobody else has before they begin. Everybody else, and root of a container, makes a user namespace, in which the
//! second helper has the privileges that it needs for mounts and gives them up before a program begins.

use std::fs;
use std::process::Command;

use rustix::process::{Signal, getegid, geteuid, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, configure_capability_in_ambient_set,
    set_capabilities,
};

use super::Doing;
use crate::sandbox::wire::{HELPER, INSIDE};

/// The user and group that programs have in a user namespace.
const INNER_ID: u32 = 1000;

/// What is new for every program besides users.
const NAMESPACES: UnshareFlags = UnshareFlags::NEWNS
    .union(UnshareFlags::NEWPID)
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWCGROUP);

/// Enters new namespaces and has a second helper work in them, until it ends.
pub fn enter() -> Result<(), String> {
    die_with_parent()?;
    if is_root_of_the_machine() {
        unshare(NAMESPACES)?;
    } else {
        enter_as_user()?;
    }
    // When memory is short, the kernel is to end these first.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let inside = Command::new("/proc/self/exe")
        .args([HELPER, INSIDE])
        .status()
        .doing("the second process cannot be started")?;
    // What went wrong it has said itself.
    if inside.success() {
        Ok(())
    } else {
        Err(format!("the process inside of the namespaces ended by {inside}"))
    }
}

/// Ends this process when the one that started it ends.
pub(super) fn die_with_parent() -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).doing("prctl(PR_SET_PDEATHSIG)")
}

#[expect(
    deprecated,
    reason = "it is unsafe only where it unshares the table of open files, which this does not"
)]
fn unshare(flags: UnshareFlags) -> Result<(), String> {
    rustix::thread::unshare(flags).doing("the kernel refuses new namespaces")
}

/// Whether this is root with all rights of the machine, as it is not in a container.
fn is_root_of_the_machine() -> bool {
    let ids = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_everybody = ids.split_whitespace().eq(["0", "0", "4294967295"]);
    let may_mount = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    geteuid().is_root() && is_everybody && may_mount
}

/// Enters namespaces with a user namespace around them, keeping its capabilities for the second helper.
fn enter_as_user() -> Result<(), String> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(NAMESPACES.union(UnshareFlags::NEWUSER))?;
    for (file, ids) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{INNER_ID} {user} 1")),
        ("gid_map", format!("{INNER_ID} {group} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), ids)
            .doing(&format!("user namespaces are restricted: /proc/self/{file}"))?;
    }
    let sets = capabilities(None).doing("capget")?;
    let kept = CapabilitySets { inheritable: sets.permitted, ..sets };
    set_capabilities(None, kept).doing("user namespaces are restricted, and give no capabilities: capset")?;
    for capability in each(sets.permitted) {
        configure_capability_in_ambient_set(capability, true).doing("prctl(PR_CAP_AMBIENT)")?;
    }
    die_with_parent()
}

/// The capabilities of a set, one by one.
pub(super) fn each(set: CapabilitySet) -> impl Iterator<Item = CapabilitySet> {
    let single = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    single.filter(move |capability| set.contains(*capability))
}

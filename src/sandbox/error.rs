//! Why a program was not run.

use std::path::PathBuf;

use super::Verdict;

/// Why a program was not run. None of these is a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum SandboxError {
    /// No interpreter.
    #[error(
        "generated programs are run by python3, which is not on PATH; install it (Debian: apt-get install python3), or name one \
         with --python PATH"
    )]
    NoInterpreter,
    /// An interpreter that cannot be used.
    #[error("{}: {reason}; name another interpreter with --python PATH", path.display())]
    Interpreter { path: PathBuf, reason: String },
    /// The sandbox cannot be made.
    #[error(
        "generated programs are run in a sandbox or not at all, and it cannot be made here: {reason}{advice}"
    )]
    Unavailable { reason: String, advice: String },
    /// The sandbox can be made and does not hold.
    #[error(
        "generated programs are run in a sandbox or not at all, and here it does not hold: {0}; nothing was run in it. Please report \
         this with the output of uname -a"
    )]
    Leaks(String),
    /// The machinery of a sandbox that was proved before.
    #[error("the sandbox failed: {0}")]
    Failed(String),
    /// Somebody asked for the end.
    #[error("stopped")]
    Stopped,
}

impl SandboxError {
    /// What is missing, and how to get it.
    pub(super) fn unavailable(reason: String) -> Self {
        let advice = if cfg!(not(target_os = "linux")) {
            "; use Linux, or write the programs with --predict-only and grade them there (zoo score RUN --allow-code)"
        } else if reason.contains("the interpreter") {
            "; name another one with --python PATH"
        } else {
            ". User namespaces have to be allowed: on Ubuntu sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, on Debian \
             sysctl -w kernel.unprivileged_userns_clone=1, everywhere sysctl -w user.max_user_namespaces=10000; in a container, \
             start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
             (podman: --security-opt unmask=ALL), or run zoo as root of the machine. \
             --predict-only writes the programs, and zoo score RUN --allow-code grades them elsewhere"
        };
        Self::Unavailable { reason, advice: advice.to_owned() }
    }

    /// A proof that the machine did not come to the end of.
    pub(super) fn too_slow(verdict: &Verdict) -> Self {
        let reason =
            format!("the machine is too slow or too full: a short program that tries it out {verdict}");
        Self::Unavailable { reason, advice: "; try again when the machine does less".to_owned() }
    }
}

//! A sandbox as the rest of the program sees it: programs in, verdicts out.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::wire::{HELPER, Job, Reply, TOKEN};
use super::{Interpreter, Limits, SandboxError, Verdict, proof};
use crate::base::digest::hex;
use crate::base::stop::Stop;

/// How often is looked whether somebody asked for the end.
const LOOK: Duration = Duration::from_millis(50);
/// Seconds that each program of the proof has at least.
const PROOF_SECONDS: f64 = 30.0;
/// Beyond a program's own time: until its interpreter has come to it on a busy machine, and until all is taken down.
const SLACK: Duration = Duration::from_secs(60);

/// A place for generated programs that was proved to hold. Programs may be run by several threads at a time.
#[derive(Debug)]
pub struct Sandbox {
    helper: PathBuf,
    interpreter: Interpreter,
    limits: Limits,
}

impl Sandbox {
    /// A sandbox for programs of `interpreter`, made by `helper`, which is this program or one whose `main` begins with
    /// [`helper`](super::helper).
    ///
    /// # Errors
    /// A sandbox that cannot be made on this machine, with what it lacks, and one that does not hold: both are tried.
    pub fn open(
        helper: &Path,
        interpreter: Interpreter,
        limits: Limits,
        stop: &Stop,
    ) -> Result<Self, SandboxError> {
        // Whether it holds is not a question of time.
        let patient = Limits { seconds: limits.seconds.max(PROOF_SECONDS), ..limits };
        let sandbox = Self { helper: helper.to_owned(), interpreter, limits: patient };
        proof::prove(&|program| sandbox.run(program, stop))?;
        Ok(Self { limits, ..sandbox })
    }

    /// The interpreter of the programs.
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// What a program may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Runs a program, tests included, to its end or to that of its limits. When this returns, nothing of it is left.
    ///
    /// # Errors
    /// A sandbox that fails, and somebody who asks for the end.
    pub fn run(&self, program: &str, stop: &Stop) -> Result<Verdict, SandboxError> {
        let failed = |what: &str, error: io::Error| SandboxError::Failed(format!("{what}: {error}"));
        let token = token().map_err(|error| failed("/dev/urandom", error))?;
        let Self { interpreter, limits, .. } = self;
        let job =
            Job { program: program.to_owned(), token, interpreter: interpreter.clone(), limits: *limits };
        let mut helper =
            Helper::start(&self.helper).map_err(|error| failed("the helper cannot be started", error))?;
        // One that has ended already says why.
        let _ = helper.0.stdin.as_mut().expect("it was asked for").write_all(&job.line());
        let said = helper.listen(Instant::now() + Duration::from_secs_f64(limits.seconds) + SLACK, stop);
        let said = said.map_err(|error| failed("the helper cannot be heard", error))?;
        let complaint = helper.end();
        if stop.is_requested() {
            return Err(SandboxError::Stopped);
        }
        match Reply::first(&said) {
            Some(Reply::Done(verdict)) => Ok(verdict),
            Some(Reply::Broken(reason)) => Err(SandboxError::Failed(reason)),
            None => Err(SandboxError::Failed(
                format!("the helper ended without a verdict {complaint}").trim_end().to_owned(),
            )),
        }
    }
}

/// A helper process. It and everything that it started ends when this goes away.
struct Helper(Child);

impl Helper {
    fn start(program: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        // It is alone in a group of processes, so that Ctrl-C is heard by us alone and can be answered in order.
        command.arg(HELPER).process_group(0).current_dir("/").env_clear();
        // A thread of a library would keep it from entering a user namespace.
        command.envs([("OPENBLAS_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "1")]);
        command.envs(std::env::var_os("LD_LIBRARY_PATH").map(|folders| ("LD_LIBRARY_PATH", folders)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map(Self)
    }

    /// What it says, until nobody in the sandbox can say more; less if `end` comes or somebody asks for it.
    fn listen(&mut self, end: Instant, stop: &Stop) -> io::Result<Vec<u8>> {
        let mut said = Vec::new();
        let stdout: &mut ChildStdout = self.0.stdout.as_mut().expect("it was asked for");
        let mut buffer = [0; 4096];
        while !stop.is_requested() && Instant::now() < end {
            let mut fds = [PollFd::new(&*stdout, PollFlags::IN)];
            match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: LOOK.as_nanos() as _ })) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match stdout.read(&mut buffer)? {
                0 => break,
                n => said.extend(&buffer[..n]),
            }
        }
        Ok(said)
    }

    /// Ends it, if it has not ended, and waits until nothing of it is left; what it complained about.
    fn end(mut self) -> String {
        self.close();
        let mut complaint = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            let _ = stderr.read_to_string(&mut complaint);
        }
        complaint.trim().to_owned()
    }

    fn close(&mut self) {
        // Process 1 of the namespaces ends when nobody can hear it, and the first helper when that has ended.
        drop(self.0.stdin.take());
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let patience = Instant::now() + Duration::from_secs(2);
            while Instant::now() < patience {
                if matches!(self.0.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.close();
    }
}

/// What nobody can guess.
fn token() -> io::Result<String> {
    let mut bytes = [0; TOKEN / 2];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(bytes))
}

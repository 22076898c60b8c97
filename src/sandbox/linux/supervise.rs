//! The second helper, process 1 of the namespaces: makes the place, gives up its privileges, runs the driver and waits for its
//! verdict. When it ends, the kernel ends everything else in there.

use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::io::{Errno, FdFlags, fcntl_setfd, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, WaitStatus, setsid, umask, wait};

use super::watch::Processes;
use super::{Doing, privileges, root, syscalls};
use crate::sandbox::wire::{Job, Reply};
use crate::sandbox::{Exceeded, Verdict};

const DRIVER: &str = include_str!("../driver.py");
/// What it says when the program begins, and before what an error says.
const BEGUN: &[u8] = b"begun\n";
const FAILED: &[u8] = b"failed";
/// How long an interpreter may take to come to its program, on a machine that does other things too.
const START: Duration = Duration::from_secs(30);
/// How often is looked at what is in use.
const LOOK: Duration = Duration::from_millis(10);
/// Characters of an error that are kept.
const ERROR_CHARS: usize = 300;
/// Bytes that the driver says at most.
const MOST_SAID: usize = 4096;

/// Reads a job, does it, and says what came of it.
pub fn supervise() -> Result<(), String> {
    // Anywhere else, what follows would be done to the machine's own mounts.
    if std::process::id() != 1 {
        return Err(
            "expected to be process 1 of new namespaces, as which zoo starts this by itself".to_owned()
        );
    }
    let job = Job::read(io::stdin().lock())?;
    if job.program.len() as u64 > job.limits.program {
        let error = format!("the program has {} bytes, of at most {}", job.program.len(), job.limits.program);
        Reply::Done(Verdict::Failed { error }).say();
        return Ok(());
    }
    // Seen from outside, where it is a number of its own.
    let number = std::fs::read_link("/proc/self").doing("/proc/self")?;
    let number: u32 = number.to_string_lossy().parse().doing("/proc/self")?;
    // A program can signal the processes of its group, wherever they are: the first helper is not to be one of them.
    setsid().doing("setsid")?;
    // Whoever runs zoo may hide new files from all others, of whom the program is one.
    umask(Mode::from_raw_mode(0o022));
    let processes = Processes::new()?;
    root::enter_root(&job, &|| processes.read("self/mountinfo"))?;
    rustix::system::sethostname(b"sandbox").doing("sethostname")?;
    privileges::give_up(number)?;
    privileges::limit(&job.limits)?;
    syscalls::restrict()?;
    let mut driver = Driver::start(&job, processes)?;
    let reply = loop {
        if let Some(reply) = driver.look()? {
            break reply;
        }
    };
    reply.say();
    Ok(())
}

/// The driver, with its program.
struct Driver<'a> {
    job: &'a Job,
    processes: Processes,
    child: Child,
    /// What the driver says; `None` once it can say nothing more.
    control: Option<OwnedFd>,
    said: Vec<u8>,
    /// What the program prints; `None` once nobody can print any more.
    output: Option<OwnedFd>,
    printed: u64,
    /// When it is too late.
    end: Instant,
    has_begun: bool,
}

impl<'a> Driver<'a> {
    fn start(job: &'a Job, processes: Processes) -> Result<Self, String> {
        let doing = "the interpreter cannot be started";
        let (control, to_control) = pipe_with(PipeFlags::CLOEXEC).doing(doing)?;
        let (output, to_output) = pipe_with(PipeFlags::CLOEXEC).doing(doing)?;
        // The one descriptor that the driver has besides its standard ones.
        fcntl_setfd(&to_control, FdFlags::empty()).doing(doing)?;
        for end in [&control, &output] {
            fcntl_setfl(end, OFlags::NONBLOCK).doing(doing)?;
        }
        let mut command = Command::new(&job.interpreter.path);
        command.args(["-s", "-B", "-c", DRIVER]);
        command.args([to_control.as_raw_fd().to_string(), job.limits.memory.to_string()]);
        command.env_clear().envs([
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/tmp"),
            ("LANG", "C.UTF-8"),
            // Sets have one order, so that a program has one verdict.
            ("PYTHONHASHSEED", "0"),
        ]);
        command.stdin(Stdio::piped()).stdout(to_output.try_clone().doing(doing)?).stderr(to_output);
        let path = job.interpreter.path.display();
        let mut child = command.spawn().doing(&format!("the interpreter {path} cannot be started"))?;
        let mut token = child.stdin.take().expect("it was asked for");
        token.write_all(job.token.as_bytes()).doing("the driver does not listen")?;
        let end = Instant::now() + START;
        let (control, output) = (Some(control), Some(output));
        Ok(Self {
            job,
            processes,
            child,
            control,
            said: Vec::new(),
            output,
            printed: 0,
            end,
            has_begun: false,
        })
    }

    /// Waits a little, and looks at everything; a reply, once there is one.
    fn look(&mut self) -> Result<Option<Reply>, String> {
        self.wait_a_little()?;
        // In this order: what was said counts even if the process is gone by now.
        let ended = self.reap()?;
        self.listen()?;
        if let Some(verdict) = self.verdict() {
            return Ok(Some(Reply::Done(verdict)));
        }
        if let Some(exceeded) = self.exceeded()? {
            return Ok(Some(Reply::Done(Verdict::Killed { exceeded })));
        }
        if let Some(status) = ended {
            return Ok(Some(self.early(status)));
        }
        if Instant::now() < self.end {
            return Ok(None);
        }
        if self.has_begun {
            return Ok(Some(Reply::Done(Verdict::TimedOut)));
        }
        Err(format!("the interpreter did not come to the program within {} seconds", START.as_secs()))
    }

    /// Until something is said or printed, or it is time to look at what is in use; an error if nobody waits for us any more.
    fn wait_a_little(&self) -> Result<(), String> {
        let input = io::stdin();
        // Nothing more comes there: that it ends is all that can happen.
        let mut fds = vec![PollFd::new(&input, PollFlags::empty())];
        fds.extend(
            [&self.control, &self.output].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::IN)),
        );
        let left = self.end.saturating_duration_since(Instant::now()).min(LOOK);
        let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos() as _ };
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(format!("poll: {error}")),
        }
        if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            return Err("nobody waits for the program any more".to_owned());
        }
        Ok(())
    }

    /// Takes in all that have ended, also what the program left behind; how the driver ended, if it did.
    fn reap(&self) -> Result<Option<WaitStatus>, String> {
        let driver = Pid::from_child(&self.child);
        let mut ended = None;
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == driver => ended = Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(Errno::CHILD) => return Ok(ended),
                Err(error) => return Err(format!("wait: {error}")),
            }
        }
    }

    fn listen(&mut self) -> Result<(), String> {
        let mut buffer = vec![0; 1 << 16];
        // Of a program that says things in the driver's place, the first ones are enough.
        while let Some(control) = self.control.as_ref().filter(|_| self.said.len() < MOST_SAID) {
            match available(control, &mut buffer[..MOST_SAID])? {
                None => break,
                Some(0) => self.control = None,
                Some(n) => self.said.extend(&buffer[..n]),
            }
        }
        if self.said.len() >= MOST_SAID {
            self.control = None;
        }
        if !self.has_begun && self.said.starts_with(BEGUN) {
            self.has_begun = true;
            self.end = Instant::now() + Duration::from_secs_f64(self.job.limits.seconds);
        }
        // A program that prints faster than we read does not keep us from looking at the clock.
        for _ in 0..64 {
            let Some(output) = &self.output else { break };
            match available(output, &mut buffer)? {
                None => break,
                Some(0) => self.output = None,
                Some(n) => self.printed += n as u64,
            }
        }
        Ok(())
    }

    /// What the driver says of the program.
    fn verdict(&self) -> Option<Verdict> {
        let said = self.said.strip_prefix(BEGUN)?;
        if said.starts_with(self.job.token.as_bytes()) {
            return Some(Verdict::Passed);
        }
        let error = said.strip_prefix(FAILED)?;
        let error = String::from_utf8_lossy(error);
        let error: String = error.lines().next().unwrap_or_default().chars().take(ERROR_CHARS).collect();
        Some(Verdict::Failed { error })
    }

    fn exceeded(&self) -> Result<Option<Exceeded>, String> {
        if self.printed > self.job.limits.output {
            return Ok(Some(Exceeded::Output));
        }
        if self.has_begun { self.processes.exceeded(&self.job.limits) } else { Ok(None) }
    }

    /// Of a driver that ended without a word.
    fn early(&self, status: WaitStatus) -> Reply {
        let ended = match (status.exit_status(), status.terminating_signal()) {
            (_, Some(libc::SIGXCPU)) if self.has_begun => return Reply::Done(Verdict::TimedOut),
            (_, Some(libc::SIGXCPU)) => "used up its processor's time".to_owned(),
            (_, Some(libc::SIGKILL)) if self.has_begun => {
                return Reply::Done(Verdict::Killed { exceeded: Exceeded::Unknown });
            }
            (_, Some(signal)) => format!("ended by signal {signal}"),
            (code, None) => format!("ended with status {}", code.unwrap_or(-1)),
        };
        if self.has_begun {
            Reply::Done(Verdict::Failed { error: format!("{ended} before the end of the tests") })
        } else {
            let path = self.job.interpreter.path.display();
            Reply::Broken(format!("the interpreter {path} {ended} before it came to the program"))
        }
    }
}

/// Reads what is there: `None` if nothing is, 0 bytes if nothing will be.
fn available(fd: impl AsFd, buffer: &mut [u8]) -> Result<Option<usize>, String> {
    match read(fd, buffer) {
        Ok(n) => Ok(Some(n)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(format!("read: {error}")),
    }
}

//! Programs that take all there is: they end, and leave the machine as it was.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use zoo::sandbox::{Exceeded, Verdict};

use super::{SHORT, TIGHT, check_in, failed, not_passed, timed};

fn killed(verdict: &Verdict, by: Exceeded) -> bool {
    *verdict == Verdict::Killed { exceeded: by }
}

#[test]
fn forks_have_an_end() {
    check_in(
        &SHORT,
        &[
            ("import posix\nwhile True: posix.fork()", not_passed),
            ("import posix\nwhile True:\n    try: posix.fork()\n    except OSError: pass", not_passed),
        ],
    );
    // The kernel refuses one more, or the supervisor sees that there is one.
    let refused = |v: &Verdict| failed(v) || killed(v, Exceeded::Processes);
    check_in(
        &TIGHT,
        &[
            ("import posix, time\nfor _ in range(100): posix.fork() or time.sleep(100)", refused),
            (
                "import _thread, time\nfor _ in range(100): _thread.start_new_thread(time.sleep, (100,))",
                refused,
            ),
        ],
    );
}

#[test]
fn memory_has_an_end() {
    check_in(
        &TIGHT,
        &[
            ("x = []\nwhile True: x.append(bytearray(1 << 24))", |v| {
                *v == Verdict::Failed { error: "MemoryError".to_owned() }
            }),
            ("x = 'x' * (1 << 40)", failed),
            // No process takes more than it may, and together they do.
            (
                "import posix, time\nfor _ in range(10):\n    if posix.fork() == 0:\n        x = bytearray(60 << 20)\n        time.sleep(100)\n\
                 time.sleep(100)",
                |v| killed(v, Exceeded::Memory),
            ),
            // The same of processes whose names are no text.
            (
                "import ctypes, posix, time\nname = ctypes.CDLL(None).prctl\nfor _ in range(10):\n    if posix.fork() == 0:\n        \
                 assert name(15, b'\\xff') == 0\n        x = bytearray(60 << 20)\n        time.sleep(100)\ntime.sleep(100)",
                |v| killed(v, Exceeded::Memory),
            ),
            // Memory without a mapping, and limits that are put up again.
            ("import os\nos.memfd_create('x')", failed),
            (
                "import sys\ndel sys.modules['resource']\nimport resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))",
                failed,
            ),
        ],
    );
}

#[test]
fn output_has_an_end() {
    check_in(
        &TIGHT,
        &[
            ("import posix\nwhile True: posix.write(1, b'x' * 65536)", |v| killed(v, Exceeded::Output)),
            ("import sys\nwhile True: print('x' * 65536, file=sys.stderr)", |v| killed(v, Exceeded::Output)),
            ("import posix\nposix.fork()\nwhile True: posix.write(2, b'x' * 65536)", |v| {
                killed(v, Exceeded::Output)
            }),
        ],
    );
}

#[test]
fn files_have_an_end() {
    check_in(
        &TIGHT,
        &[
            ("f = open('big', 'wb')\nwhile True: f.write(b'x' * (1 << 20))", failed),
            ("for n in range(100):\n    with open(str(n), 'wb') as f: f.write(b'x' * (1 << 20))", failed),
            ("for n in range(100000): open(str(n), 'w').close()", failed),
            ("import os\nfor n in range(100000): os.mkdir(str(n))", failed),
            ("kept = [open('/dev/null') for _ in range(100000)]", failed),
            ("import os\nkept = [os.pipe() for _ in range(100000)]", failed),
            ("import os\nwhile True:\n    os.mkdir('d')\n    import posix\n    posix.chdir('d')", failed),
        ],
    );
}

/// Command lines on this machine that hold a word.
fn running(word: &str) -> usize {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    processes.filter(|line| line.windows(word.len()).any(|part| part == word.as_bytes())).count()
}

#[test]
fn nothing_is_left_behind() {
    let (Some(tight), Some(short)) = (&*TIGHT, &*SHORT) else { return };
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let word = format!("98765.{}", std::process::id());
    // A daemon in a session of its own, whose parent has passed its tests, and one that is in nobody's way but the clock's.
    let daemon = format!(
        "import posix, time, signal\nif posix.fork() == 0:\n    posix.setsid()\n    signal.signal(signal.SIGHUP, signal.SIG_IGN)\n    \
         if posix.fork() == 0:\n        posix.execv('/bin/sleep', ['sleep', '{word}'])\n    posix._exit(0)\ntime.sleep(0.3)\n"
    );
    assert_eq!(timed(tight, &daemon), Verdict::Passed);
    assert_eq!(running(&word), 0);
    assert_eq!(timed(short, &format!("{daemon}while True: pass")), Verdict::TimedOut);
    assert_eq!(running(&word), 0);
    assert_eq!(mounts(), before);
    assert!(!std::path::Path::new("/tmp/sleep").exists());
}

#[test]
fn programs_beside_a_greedy_one_are_judged_as_ever() {
    let (Some(tight), Some(short)) = (&*TIGHT, &*SHORT) else { return };
    let begun = Instant::now();
    thread::scope(|scope| {
        let greedy = "import posix\nwhile True:\n    try: posix.fork()\n    except OSError: pass";
        let greedy = scope.spawn(|| timed(short, greedy));
        while !greedy.is_finished() {
            assert_eq!(timed(tight, "assert True"), Verdict::Passed);
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(60));
}

//! What passes and what does not, and that nothing but the end of the tests passes.

use std::thread;
use std::time::{Duration, Instant};

use zoo::base::stop::Stop;
use zoo::sandbox::{Exceeded, Limits, SandboxError, Verdict};

use super::{USUAL, check, check_in, failed, not_passed, passed, timed, timed_out};

#[test]
fn programs_that_come_to_the_end_of_their_tests_pass() {
    check(&[
        ("def add(a, b):\n    return a + b\n\nassert add(2, 3) == 5", passed),
        (
            "import math, random, re, collections, itertools, heapq, json, datetime, decimal\nassert math.isqrt(10) == 3",
            passed,
        ),
        // Text beyond ASCII, line ends of all kinds, and a name as code that is imported has it.
        (
            "s = '\u{1f600}ä'\r\nassert len(s) == 2\rassert s[1] == '\\xe4'\nassert __name__ == 'builtins'",
            passed,
        ),
        ("with open('own', 'w') as f:\n    f.write('x')\nassert open('own').read() == 'x'", passed),
        (
            "import threading\nseen = []\nt = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]\n\
             [x.start() for x in t]\n[x.join() for x in t]\nassert sorted(seen) == list(range(8))",
            passed,
        ),
        (
            "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 3\nassert asyncio.run(f()) == 3",
            passed,
        ),
        ("print('x' * 100000)\nimport sys\nprint('y', file=sys.stderr)", passed),
        // What goes on beside the tests is not waited for.
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()", passed),
    ]);
}

#[test]
fn programs_that_do_not_say_why_in_one_line() {
    let Some(sandbox) = &*USUAL else { return };
    for (program, expected) in [
        ("assert 1 == 2", "AssertionError"),
        ("assert 1 == 2, 'one is\\nnot two'", "AssertionError: one is"),
        ("def f(:", "SyntaxError: invalid syntax (<string>, line 1)"),
        ("undefined", "NameError: name 'undefined' is not defined"),
        ("class E(Exception):\n    def __str__(self): raise E()\nraise E()", "E"),
        ("input()", "EOFError: EOF when reading a line"),
        // The reference takes these away; a program that needs them fails there too.
        ("exit()", "TypeError: 'NoneType' object is not callable"),
        ("import os\nos.system('true')", "TypeError: 'NoneType' object is not callable"),
    ] {
        assert_eq!(timed(sandbox, program), Verdict::Failed { error: expected.to_owned() }, "{program}");
    }
    let long = timed(sandbox, "raise ValueError('x' * 10000)");
    assert!(matches!(&long, Verdict::Failed { error } if error.len() == 300), "{long}");
    let large = timed(sandbox, &"#".repeat(2 << 20));
    assert!(matches!(&large, Verdict::Failed { error } if error.contains("1048576")), "{large}");
}

#[test]
fn what_ends_before_its_tests_has_not_passed() {
    check(&[
        ("import sys\nsys.exit(0)\nassert False", failed),
        ("raise SystemExit", failed),
        ("raise KeyboardInterrupt", failed),
        ("import os\nos._exit(0)\nassert False", failed),
        // As the kernel does it where memory is short: whether the program would have passed is not known.
        ("import posix\nposix.kill(posix.getpid(), 9)", |v| {
            *v == Verdict::Killed { exceeded: Exceeded::Unknown } && !v.is_decided()
        }),
        ("import posix\nposix.kill(posix.getpid(), 15)", failed),
        ("import ctypes\nctypes.string_at(0)", failed),
        ("import posix\nposix.abort()", failed),
        ("import posix\nposix.execv('/bin/true', ['true'])", failed),
        (
            "import threading, os, time\nthreading.Thread(target=lambda: os._exit(0)).start()\ntime.sleep(5)",
            failed,
        ),
        ("import sys\nsys.setrecursionlimit(10**8)\ndef f(n): return f(n + 1) + 1\nf(0)", not_passed),
        // A child that comes to the end of the tests before its parent fails them is one program's way and not another's.
        ("import posix\nif posix.fork() == 0: posix._exit(0)\nposix.wait()\nassert False", failed),
    ]);
}

#[test]
fn a_verdict_that_is_printed_or_written_somewhere_is_none() {
    check(&[
        ("print('passed')\nimport sys\nsys.stdout.flush()\nsys.exit(0)", failed),
        (
            "import posix\nfor fd in range(200):\n    for text in (b'passed\\n', b'a' * 32, b'{\"Done\":{\"verdict\":\"passed\"}}\\n'):\n        \
             try: posix.write(fd, text)\n        except OSError: pass\nposix._exit(0)",
            not_passed,
        ),
        ("import os\nos.closerange(0, 1000)", not_passed),
        ("import os\nos.close(1)\nos.close(2)\nassert False", failed),
        ("import builtins\nbuiltins.AssertionError = None\nassert False", not_passed),
    ]);
}

#[test]
fn programs_without_an_end_run_out_of_time() {
    check_in(
        &super::SHORT,
        &[
            ("while True: pass", timed_out),
            ("import time\ntime.sleep(10**6)", timed_out),
            ("import signal\nsignal.pause()", timed_out),
            (
                "import signal, time\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except Exception: pass\n\
                 while True: time.sleep(1)",
                timed_out,
            ),
            ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", timed_out),
            // The clock does not begin again for whoever says so.
            (
                "import posix, time\nwhile True:\n    time.sleep(0.01)\n    for fd in range(3, 64):\n        try: posix.write(fd, b'begun\\n')\n        \
                 except OSError: pass",
                timed_out,
            ),
            ("import sys\nsys.set_int_max_str_digits(0)\nstr(10 ** (10 ** 8))", not_passed),
        ],
    );
}

#[test]
fn a_sandbox_whose_programs_have_no_time_is_proved_all_the_same() {
    let hurried = super::open(Limits { seconds: 0.001, ..Limits::default() });
    check_in(&hurried, &[("while True: pass", timed_out)]);
}

#[test]
fn somebody_who_asks_for_the_end_does_not_wait_for_programs() {
    let Some(sandbox) = &*USUAL else { return };
    let stop = Stop::default();
    let begun = Instant::now();
    let error = thread::scope(|scope| {
        let running = scope.spawn(|| sandbox.run("while True: pass", &stop).unwrap_err());
        thread::sleep(Duration::from_millis(300));
        let _ = stop.request();
        running.join().unwrap()
    });
    assert!(matches!(error, SandboxError::Stopped), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

//! `zoo chat` as a program, before a person at a terminal and in a pipe: answers that come while they are written, what it
//! remembers and forgets, interruptions, files, several models.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use zoo::base::printable::{WHOLE, printable};

use crate::support::terminal::Seat;
use crate::support::tiny::{command, stderr, stdout, write_tiny_bloom, write_tiny_model};

/// Every message in a line with who says it.
const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}\
                        {% if add_generation_prompt %}<assistant>{% endif %}";

/// A folder with two models, in which every byte is a token.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        write_tiny_model(&place.path("tiny"));
        write_tiny_bloom(&place.path("bloom"));
        for model in ["tiny", "bloom"] {
            place.set_template(model, TEMPLATE);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn set_template(&self, model: &str, source: &str) {
        let file = self.path(model).join("tokenizer_config.json");
        let mut settings: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        settings["chat_template"] = json!(source);
        fs::write(file, settings.to_string()).unwrap();
    }

    /// `zoo VERB ./tiny …` in the folder, with a cache of its own.
    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = command(&[&[verb, "--threads", "1"], more].concat());
        command.current_dir(self.0.path()).env("ZOO_HOME", self.path("home"));
        command
    }

    fn seat(&self, more: &[&str]) -> Seat {
        let mut seat = Seat::start(&self.command("chat", more));
        seat.wait_for(">>> ");
        seat
    }

    /// A conversation in a pipe.
    fn pipe(&self, more: &[&str], messages: &str) -> Output {
        let mut command = self.command("chat", more);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        child.stdin.take().unwrap().write_all(messages.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn answers(&self, more: &[&str], messages: &str) -> String {
        let output = self.pipe(more, messages);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }

    /// What `zoo generate` writes to a prompt as it is.
    fn generated(&self, model: &str, prompt: &str, more: &[&str]) -> String {
        let args = [&[model, "--raw", prompt], more].concat();
        let output = self.command("generate", &args).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).strip_suffix('\n').unwrap().to_owned()
    }

    fn saved(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }
}

/// What a model is told of a conversation.
fn told(messages: &[&str]) -> String {
    let roles = ["user", "assistant"].into_iter().cycle();
    let said: String = roles.zip(messages).map(|(role, text)| format!("<{role}>{text}")).collect();
    format!("{said}<assistant>")
}

/// The answers of a saved conversation.
fn said(conversation: &Value) -> Vec<&str> {
    let messages = conversation["messages"].as_array().unwrap().iter();
    messages.filter(|m| m["role"] == "assistant").map(|m| m["content"].as_str().unwrap()).collect()
}

/// Says something and takes what is shown until the next message is awaited.
fn say(seat: &mut Seat, message: &str) -> String {
    seat.press(&format!("{message}\r"));
    seat.wait_for("\n");
    seat.wait_for(">>> ").replace("\r\n", "\n")
}

#[test]
fn a_conversation_at_a_terminal() {
    let place = Place::new();
    let mut seat = place.seat(&["./tiny", "-n", "30"]);
    let first = say(&mut seat, "Hi");
    let second = say(&mut seat, "Hi");
    say(&mut seat, "And now?");
    assert!(say(&mut seat, "/save talk.json").contains("saved in talk.json"));
    let saved = place.saved("talk.json");
    let talk = &saved["conversations"][0];
    let [one, two, _] = said(talk)[..] else { panic!("{saved}") };

    // What is on the screen is what was said, and what was said is what the model says to the whole conversation.
    for (shown, text) in [(&first, one), (&second, two)] {
        assert!(shown.contains(&*printable(text, WHOLE)), "{shown:?}: {text:?}");
        assert!(shown.contains("tiny: ended after 30 tokens, and not by the model"), "{shown}");
    }
    assert_eq!(one, place.generated("./tiny", &format!("<s>{}", told(&["Hi"])), &["-n", "30"]));
    assert_ne!(one, two, "it remembers that it was asked before");
    assert_eq!(
        (&talk["model"], &talk["template"], &talk["max_tokens"]),
        (&json!("tiny"), &json!("checkpoint: default"), &json!(30))
    );
    assert!(talk["weights_sha256"].as_str().unwrap().len() == 64 && talk["sampling"].is_null(), "{talk}");
    // What the second turn was told was not computed again for the third, but for its last block at most: bytes that are no text
    // are other bytes once they are said.
    let (told, third) = (talk["messages"][3]["n_prompt_tokens"].as_u64().unwrap(), &talk["messages"][5]);
    let known = third["n_known_tokens"].as_u64().unwrap();
    assert!(told >= 64 && known >= told / 64 * 64, "{told} tokens, {known} are known: {third}");

    // Nothing is written over unasked, but for what this conversation wrote.
    fs::write(place.path("there.md"), "mine").unwrap();
    let refused = say(&mut seat, "/save there.md");
    assert!(refused.contains("error: /save there.md: there is such a file already"), "{refused}");
    assert_eq!(fs::read_to_string(place.path("there.md")).unwrap(), "mine");
    assert!(say(&mut seat, "/save! there.md").contains("saved in place of what was in there.md"));
    assert!(fs::read_to_string(place.path("there.md")).unwrap().starts_with("# Conversation with tiny\n"));

    assert!(say(&mut seat, "/reset").contains("forgotten"));
    assert!(say(&mut seat, "Hi").contains(&*printable(one, WHOLE)), "as if nothing had been said");
    say(&mut seat, "/save talk.json");
    assert_eq!(said(&place.saved("talk.json")["conversations"][0]), [one]);

    assert!(say(&mut seat, "/hepl").contains("/hepl is not known (nearest: /help)"));
    let help = say(&mut seat, "/help");
    assert!(help.contains("/save FILE") && help.contains("Ctrl-C"), "{help}");
    assert!(say(&mut seat, "/speed").contains("speeds are said"));
    let spoken = say(&mut seat, "Hi");
    assert!(spoken.contains(" tokens read in ") && spoken.contains("30 written in "), "{spoken}");
    seat.press("\u{4}");
    assert_eq!(seat.leave().1, 0);
}

#[test]
fn ctrl_c_stops_an_answer_and_not_the_program() {
    let place = Place::new();
    // An answer of up to 1900 tokens, for each of which all layers are read.
    let prompt = format!("<s>{}", told(&["Tell me a long story"]));
    let whole = place.generated("./tiny", &prompt, &["-n", "1900"]);
    let mut seat = place.seat(&["./tiny", "--layers", "disk", "-n", "1900"]);
    seat.press("Tell me a long story\r");
    seat.wait_for("long story");
    // Some of the answer is there before all of it is.
    seat.wait_for(&printable(&whole.chars().take(3).collect::<String>(), WHOLE));
    seat.press("\u{3}");
    let shown = seat.wait_for(">>> ");
    assert!(shown.contains("tiny: stopped; what was said until then is part of the conversation"), "{shown}");
    assert!(seat.is_running());
    say(&mut seat, "/save talk.json");
    let saved = place.saved("talk.json");
    let talk = &saved["conversations"][0];
    let begun = said(talk)[0];
    // It may have ended within a character.
    assert!(whole.starts_with(begun.trim_end_matches('\u{fffd}')), "{begun:?}");
    assert!(begun.len() < whole.len() && !begun.is_empty(), "{begun:?}");
    assert_eq!(talk["messages"][1]["end"], "interrupted");

    // It goes on from there.
    let prompt = format!("<s>{}", told(&["Tell me a long story", begun, "Go on"]));
    let expected = place.generated("./tiny", &prompt, &["-n", "1900"]);
    seat.press("Go on\r");
    seat.wait_for("Go on");
    seat.wait_for(&printable(&expected.chars().take(3).collect::<String>(), WHOLE));
    seat.press("\u{3}\u{3}");
    seat.wait_for(">>> ");
    say(&mut seat, "/save talk.json");
    let saved = place.saved("talk.json");
    let second = said(&saved["conversations"][0])[1].to_owned();
    assert!(expected.starts_with(second.trim_end_matches('\u{fffd}')), "{second:?}, {expected:?}");

    // At the prompt it says how to leave, and what was typed is gone.
    seat.press("not sent\u{3}");
    seat.wait_for("to end the program, press Ctrl-D or type /exit");
    seat.wait_for(">>> ");
    assert!(seat.is_running());
    seat.press("/exit\r");
    assert_eq!(seat.leave().1, 0);
}

#[test]
fn a_signal_that_ends_the_program_leaves_the_terminal_as_it_was() {
    let place = Place::new();
    let seat = place.seat(&["./tiny"]);
    seat.signal("-TERM");
    let (shown, code) = seat.leave();
    // Pasted text comes as it is again.
    assert_eq!(code, 130, "{shown}");
    assert!(shown.contains("\u{1b}[?2004l") && shown.contains("interrupted: "), "{shown:?}");
}

#[test]
fn messages_of_several_lines_and_a_history_of_them() {
    let place = Place::new();
    let mut seat = place.seat(&["./tiny", "-n", "3"]);
    seat.press("\"\"\"one\r");
    seat.press("two\"\"\"\r");
    seat.wait_for("ended after 3 tokens");
    seat.wait_for(">>> ");
    seat.press("three\\\r");
    seat.press("four\r");
    seat.wait_for("ended after 3 tokens");
    seat.wait_for(">>> ");
    say(&mut seat, "/save talk.json");
    let saved = place.saved("talk.json");
    let messages = &saved["conversations"][0]["messages"];
    assert_eq!(
        (&messages[0]["content"], &messages[2]["content"]),
        (&json!("one\ntwo"), &json!("three\nfour"))
    );
    // What the arrow up brings back is asked again, also by the next program.
    seat.press("/reset\r");
    seat.wait_for("forgotten");
    seat.wait_for(">>> ");
    say(&mut seat, "last");
    seat.press("\u{4}");
    assert_eq!(seat.leave().1, 0);
    let mut seat = place.seat(&["./tiny", "-n", "3"]);
    seat.press("\u{1b}[A");
    seat.wait_for("last");
    seat.press("\r");
    seat.wait_for("ended after 3 tokens");
    seat.wait_for(">>> ");
    say(&mut seat, "/save again.json");
    assert_eq!(place.saved("again.json")["conversations"][0]["messages"][0]["content"], "last");
    seat.press("/bye\r");
    assert_eq!(seat.leave().1, 0);
}

#[test]
fn two_models_answer_one_after_the_other() {
    let place = Place::new();
    let mut seat = place.seat(&["./tiny", "./bloom", "-n", "9", "--system", "Be brief."]);
    let shown = say(&mut seat, "Hi");
    let (tiny, bloom) = (shown.find("[tiny]\n").unwrap(), shown.find("[bloom]\n").unwrap());
    assert!(tiny < bloom, "{shown}");
    say(&mut seat, "And you?");
    say(&mut seat, "/save both.json");
    say(&mut seat, "/save both.md");
    seat.press("\u{4}");
    assert_eq!(seat.leave().1, 0);
    let saved = place.saved("both.json");
    for (at, model) in ["tiny", "bloom"].into_iter().enumerate() {
        let talk = &saved["conversations"][at];
        assert_eq!((&talk["model"], &talk["messages"][0]["content"]), (&json!(model), &json!("Be brief.")));
        // Each has its own history.
        let [one, two] = said(talk)[..] else { panic!("{talk}") };
        let prompt = |said: &[&str]| format!("<s><system>Be brief.{}", told(said));
        let path = format!("./{model}");
        assert_eq!(one, place.generated(&path, &prompt(&["Hi"]), &["-n", "9"]));
        assert_eq!(two, place.generated(&path, &prompt(&["Hi", one, "And you?"]), &["-n", "9"]));
    }
    let page = fs::read_to_string(place.path("both.md")).unwrap();
    assert!(
        page.contains("\n## 2. User\n\nAnd you?\n\n### tiny\n") && page.contains("\n### bloom\n"),
        "{page}"
    );
}

#[test]
fn in_a_pipe_each_line_is_a_message_and_answers_are_as_they_are() {
    let place = Place::new();
    let both = place.answers(&["./tiny", "-n", "20"], "Hi\n\nHi\n");
    let one = place.generated("./tiny", &format!("<s>{}", told(&["Hi"])), &["-n", "20"]);
    let two = place.generated("./tiny", &format!("<s>{}", told(&["Hi", &one, "Hi"])), &["-n", "20"]);
    assert_eq!(both, format!("{one}\n{two}\n"));
    // Words for the program are words for the program.
    assert_eq!(place.answers(&["./tiny", "-n", "20"], "Hi\n/reset\nHi"), format!("{one}\n{one}\n"));
    assert_eq!(place.answers(&["./tiny", "-n", "20"], "Hi\n/exit\nHi\n"), format!("{one}\n"));
    let output = place.pipe(&["./tiny", "-n", "20"], "Hi\n/rest\nHi\n");
    assert_eq!((output.status.code(), stdout(&output)), (Some(2), format!("{one}\n")));
    assert!(stderr(&output).contains("error: /rest is not known"), "{}", stderr(&output));
    // A system message holds for all that was said.
    let two = place.answers(&["./tiny", "-n", "20"], "Hi\n/system Be brief.\nHi\n");
    let prompt = format!("<s><system>Be brief.{}", told(&["Hi", &one, "Hi"]));
    assert_eq!(two, format!("{one}\n{}\n", place.generated("./tiny", &prompt, &["-n", "20"])));
    // The same seed draws the same, also after a reset.
    let drawn = ["./tiny", "-n", "20", "--temperature", "1.5", "--seed", "4"];
    let twice = place.answers(&drawn, "Hi\n/reset\nHi\n");
    let (first, second) = twice.split_at(twice.len() / 2);
    assert!(first == second && !twice.starts_with(&one), "{twice:?}");
    // Stops end an answer.
    let stop: String = one.chars().skip(5).take(2).collect();
    let cut = place.answers(&["./tiny", "-n", "20", "--stop", &stop], "Hi\n");
    assert_eq!(cut, format!("{}\n", one.split(&stop).next().unwrap()));
}

#[test]
fn what_does_not_fit_any_more_is_left_out_and_that_is_said() {
    let place = Place::new();
    let args = ["./tiny", "-n", "10", "--max-length", "120"];
    let message = "x".repeat(30);
    let output = place.pipe(&args, &format!("{message}\n{message}\n{message}\n/save talk.json\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    let said_so = stderr(&output);
    assert!(said_so.contains("of 120 positions") && said_so.contains("left out from now on"), "{said_so}");
    let saved = place.saved("talk.json");
    let talk = &saved["conversations"][0];
    let left_out = talk["left_out"].as_u64().unwrap() as usize;
    assert!((1..3).contains(&left_out), "{talk}");
    // All that was said is in the file, and the last answer is to what was left.
    let answers = said(talk);
    let rest: Vec<&str> = answers[left_out..2].iter().flat_map(|answer| [&*message, *answer]).collect();
    let prompt = format!("<s>{}", told(&[&rest[..], &[&*message]].concat()));
    assert_eq!(answers[2], place.generated("./tiny", &prompt, &["-n", "10"]));
    let output = place.pipe(&args, &format!("{}\n", "x".repeat(120)));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("the message alone takes 1"), "{}", stderr(&output));
}

#[test]
fn templates_that_know_less_are_followed_and_that_is_said() {
    let place = Place::new();
    // A template of one turn: each message is put by itself.
    let output = place.pipe(&["./tiny", "-n", "5", "--template", "alpaca"], "Hi\nHi\n");
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert!(stderr(&output).contains("has no form for more than one turn"), "{}", stderr(&output));
    assert_eq!(lines[..lines.len() / 2], lines[lines.len() / 2..]);
    // No template: the conversation is one text.
    let file = place.path("tiny/tokenizer_config.json");
    let settings = fs::read_to_string(&file).unwrap();
    fs::write(&file, settings.replace("chat_template", "no_template")).unwrap();
    let output = place.pipe(&["./tiny", "-n", "5"], "Hi\nHi\n");
    assert!(stderr(&output).contains("no chat template, so it goes on with the text"), "{}", stderr(&output));
    let one = place.generated("./tiny", "Hi", &["-n", "5"]);
    let two = place.generated("./tiny", &format!("Hi{one}\nHi"), &["-n", "5"]);
    assert_eq!(stdout(&output), format!("{one}\n{two}\n"));
    let output = place.pipe(&["./tiny", "--system", "s"], "Hi\n");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("--system: tiny has no template"), "{}", stderr(&output));
    // A template that does not write it.
    place.set_template(
        "tiny",
        "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}",
    );
    let output = place.pipe(&["./tiny", "--system", "Be brief."], "Hi\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("its template leaves system messages out"), "{}", stderr(&output));
}

#[test]
fn a_terminal_obeys_nobody_but_the_program() {
    let place = Place::new();
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}x\rerror";
    let is_foreign = |shown: &str| {
        ["\u{1b}]0", "\u{7}", "\u{9b}", "\u{202e}", "\rerror"].iter().any(|s| shown.contains(s))
    };
    // What a template says when it refuses, a name of a model, and what is typed.
    let refuses = format!("{{{{ raise_exception({}) }}}}", json!(format!("{hostile}\nerror: forged")));
    place.set_template("tiny", &refuses);
    let mut seat = place.seat(&["./tiny"]);
    let shown = say(&mut seat, "Hi");
    assert!(
        !is_foreign(&shown) && shown.contains(r"\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}x\rerror\nerror: forged"),
        "{shown:?}"
    );
    seat.press("\u{4}");
    assert_eq!(seat.leave().1, 0);
    for args in [vec!["chat", hostile], vec!["show", hostile], vec!["eval", "./tiny", "--suite", hostile]] {
        let mut command = command(&args);
        command.current_dir(place.0.path()).env("ZOO_HOME", place.path("home"));
        let (shown, code) = Seat::start(&command).leave();
        assert_eq!(code, 2, "{args:?}: {shown}");
        assert!(!is_foreign(&shown) && shown.contains(r"owned\u{7}"), "{args:?}: {shown:?}");
    }
    // The name of a folder, which stands above every answer.
    let models = [Path::new("bloom"), Path::new(hostile)].map(|name| place.path(name.to_str().unwrap()));
    fs::create_dir(&models[1]).unwrap();
    for file in fs::read_dir(&models[0]).unwrap().flatten() {
        fs::copy(file.path(), models[1].join(file.file_name())).unwrap();
    }
    let mut seat = place.seat(&[&format!("./{hostile}"), "./bloom", "-n", "40"]);
    let shown = say(&mut seat, "Hi");
    assert!(!is_foreign(&shown) && shown.contains(r"owned\u{7}\u{9b}2J\u{202e}x\rerror]"), "{shown:?}");
    seat.press("\u{4}");
    assert_eq!(seat.leave().1, 0);
}

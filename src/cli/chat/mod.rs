//! `zoo chat`: a conversation with a model, or with several side by side.

mod args;
mod attention;
mod command;
mod input;
mod save;

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::bail;

pub use args::Args;
use attention::Attention;
use command::Command;
use input::{Input, Lines, Terminal, Typed};

use super::exit::{Interrupted, Usage};
use super::flags::TaskFolders;
use super::supply::Supply;
use super::{Global, models, screen};
use crate::base::stop::Stop;
use crate::run::{Chat, ChatTurn, Ending, Hearer};

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    args.machine.threads.apply()?;
    let options = args.options(global)?;
    let is_spoken_with = io::stdin().is_terminal() && io::stdout().is_terminal();
    let attention = Attention::new(is_spoken_with)?;
    let supply = Supply {
        models: &args.models,
        sources: &args.sources,
        tasks: &TaskFolders::default(),
        stop: &Stop::default(),
        global,
    };
    let chat = supply.with(|world| Chat::open(&options, world))?;
    for line in chat.introductions() {
        models::note(global, &line);
    }
    let mut input: Box<dyn Input> = if is_spoken_with {
        models::note(global, "/help lists what can be said to the program, Ctrl-D ends it");
        Box::new(Terminal::new()?)
    } else {
        Box::new(Lines::new())
    };
    let mut session =
        Session { chat, attention, global, is_spoken_with, says_speed: args.speed, saved: Vec::new() };
    loop {
        session.attention.wait();
        match input.next()? {
            Typed::Text(text) => {
                let done =
                    Command::read(&text).map_err(|words| Usage(words).into()).and_then(|c| session.obey(c));
                match done {
                    Ok(ControlFlow::Break(())) => return Ok(()),
                    Ok(ControlFlow::Continue(())) => {}
                    // A person reads it and goes on; a program that is spoken for is not to take it for an answer.
                    Err(error) if is_spoken_with => super::exit::say(&error),
                    Err(error) => return Err(error),
                }
            }
            Typed::Interrupt => models::note(global, "to end the program, press Ctrl-D or type /exit"),
            Typed::End => return Ok(()),
        }
    }
}

/// A conversation and its surroundings.
struct Session<'a> {
    chat: Chat,
    attention: Attention,
    global: &'a Global,
    /// Whether a person sits at a terminal.
    is_spoken_with: bool,
    says_speed: bool,
    /// Files that the conversation was saved in.
    saved: Vec<PathBuf>,
}

impl Session<'_> {
    /// Does what was said; breaks at the end.
    fn obey(&mut self, command: Command) -> anyhow::Result<ControlFlow<()>> {
        match command {
            Command::Say(message) => self.ask(&message)?,
            Command::System(None) => self.note(self.chat.system().unwrap_or("there is no system message")),
            Command::System(Some(text)) => {
                self.chat.set_system(Some(&text))?;
                self.note("this is the system message now, of all that was said too");
            }
            Command::Reset => {
                self.chat.reset();
                self.note("all that was said is forgotten");
            }
            Command::Save { file, replaces } => {
                let is_own = self.saved.contains(&file);
                let said = save::save(&self.chat, &file, replaces || is_own)?;
                self.note(&said);
                self.saved.push(file);
            }
            Command::Speed => {
                self.says_speed = !self.says_speed;
                self.note(if self.says_speed { "speeds are said" } else { "speeds are not said any more" });
            }
            Command::Help => self.note(&command::help()),
            Command::Exit => return Ok(ControlFlow::Break(())),
            Command::Nothing => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Puts a message to all models, one after the other.
    fn ask(&mut self, message: &str) -> anyhow::Result<()> {
        let names: Vec<String> = self.chat.names().map(str::to_owned).collect();
        self.chat.begin();
        for (at, name) in names.iter().enumerate() {
            if names.len() > 1 {
                screen::print(&format!("[{name}]\n"))?;
            }
            let stop = Stop::default();
            self.attention.answer(&stop);
            let mut shown = Shown { name, global: self.global, is_open: false, fault: None };
            let turn = self.chat.ask(at, message, &stop, &mut shown);
            let (is_open, fault) = (shown.is_open, shown.fault);
            self.attention.wait();
            if let Some(fault) = fault {
                return Err(fault.into());
            }
            if is_open || self.is_spoken_with || names.len() > 1 || matches!(turn, Ok(Some(_))) {
                screen::print(if self.is_spoken_with || names.len() > 1 { "\n\n" } else { "\n" })?;
            }
            let note = turn.map(|turn| end(name, turn, self.says_speed));
            // One who cannot answer does not keep the others from it.
            match note {
                Ok(Some(note)) => models::note(self.global, &note),
                Ok(None) => {}
                Err(error) if self.is_spoken_with => super::exit::say(&error.into()),
                Err(error) => return Err(error.into()),
            }
            if stop.is_requested() {
                if !self.is_spoken_with {
                    bail!(Interrupted("the answer is not complete".to_owned()));
                }
                // Whoever has heard enough has of all of them.
                break;
            }
        }
        Ok(())
    }

    fn note(&self, text: &str) {
        models::note(self.global, text);
    }
}

/// What is said below an answer, if anything.
fn end(name: &str, turn: Option<&ChatTurn>, says_speed: bool) -> Option<String> {
    let Some(turn) = turn else {
        return Some(format!(
            "{name}: stopped before it said anything; the message is as if it had not been asked"
        ));
    };
    let why = match turn.end {
        Ending::Interrupted => {
            Some("stopped; what was said until then is part of the conversation".to_owned())
        }
        Ending::Length => Some(format!("ended after {} tokens, and not by the model", turn.tokens)),
        Ending::Eos | Ending::Stop => None,
    };
    let speed = says_speed.then(|| speed(turn));
    let words: Vec<String> = why.into_iter().chain(speed).collect();
    (!words.is_empty()).then(|| format!("{name}: {}", words.join("; ")))
}

/// How fast it was.
fn speed(turn: &ChatTurn) -> String {
    let new = turn.prompt_tokens - turn.known_tokens;
    let (reading, writing) = (turn.reading.as_secs_f64(), turn.writing.as_secs_f64());
    // The first token comes with the prompt's last.
    let steps = turn.tokens.saturating_sub(1);
    let rate = if steps > 0 && writing > 0.0 {
        format!(", {:.1} a second", steps as f64 / writing)
    } else {
        String::new()
    };
    format!(
        "{new} of {} tokens read in {reading:.2} s, {} written in {writing:.2} s{rate}",
        turn.prompt_tokens, turn.tokens
    )
}

/// Shows an answer while it comes.
struct Shown<'a> {
    name: &'a str,
    global: &'a Global,
    /// Whether the line has begun.
    is_open: bool,
    fault: Option<io::Error>,
}

impl Hearer for Shown<'_> {
    fn leaves_out(&mut self, turns: usize, tokens: usize, positions: usize) {
        let turns = if turns == 1 { "first turn is".to_owned() } else { format!("first {turns} turns are") };
        models::note(
            self.global,
            &format!(
                "{}: the conversation takes {tokens} tokens with this message, of {positions} positions, some of which the answer \
                 needs: the {turns} left out from now on",
                self.name
            ),
        );
    }

    fn text(&mut self, text: &str) -> ControlFlow<()> {
        self.is_open = true;
        self.fault = screen::print(text).err();
        if self.fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

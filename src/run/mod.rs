//! A run: who is asked what, in which ways, and where it lands on the disk.
//!
//! [`evaluate()`] asks models, [`score_run`] a finished run, [`score_answers`] whoever wrote a file. Each is a
//! [`Respondent`](respondent::Respondent), and what it answers goes one way: graded, into rows, into the files of a run.

mod absent;
mod again;
mod against;
mod answering;
mod answers;
mod asking;
mod chat;
mod claim;
mod complete;
mod converse;
mod drawing;
mod error;
mod files;
mod folder;
mod follow;
mod forecast;
mod generate;
mod harness;
mod instructions;
mod judge;
mod keeper;
mod local;
mod merge;
mod need;
mod needs;
mod options;
mod outcome;
mod plan;
mod remote;
mod repeat;
mod respondent;
mod rotations;
mod rows;
mod scheduler;
mod served;
mod session;
mod settings;
mod shard;
mod shots;
mod speeds;
mod subject;
mod subjects;
mod submission;
mod texts;
mod variants;
mod write;

use std::path::PathBuf;

use crate::base::progress::{Progress, Turn};
use crate::base::stop::Stop;
use crate::hub::{HubConfig, HubError};
use crate::records::{RunRecord, Timestamp};
use crate::tasks::{Index, Suite, TaskError};
use folder::{RunFolder, State, state};
use judge::Judge;
use keeper::Keeper;
use local::Local;
use needs::Needs;
use remote::Remote;
use respondent::Respondent;
use session::{Grading, Session, new_record};
use settings::settings;
use subjects::{Model, open_all, open_present, refuse_overlong};
use variants::Preparer;

pub use absent::{AbsentModel, stored_in_gguf};
pub use again::score_run;
pub use against::compared_table;
pub use answering::{Answering, Wording};
pub use answers::{WrittenAnswers, score_answers};
pub use converse::{Chat, ChatOptions, Hearer, Turn as ChatTurn};
pub use drawing::Drawing;
pub use error::{RunError, Stopped};
pub use forecast::{AskedForecast, Forecast, TaskForecast, TimeForecast};
pub use generate::{Answer, Audience, Ending, GenerateOptions, Generated, generate, read_prompts};
pub use judge::Code;
pub use merge::merge;
pub use need::{Need, needs_table};
pub use options::{Computing, Options, Places, Repeated, Serving};
pub use plan::forecast;
pub use repeat::{read_repeated, repeated_flags};
pub use rotations::rotations_table;
pub use scheduler::{Scheduled, scheduled};
pub use session::Finished;
pub use shard::ShardFile;
pub use speeds::{Figure, remember};
pub use subject::{LocatedModel, name_of};

/// What a run takes from its surroundings.
pub struct World<'a> {
    /// Finds the model that a name means, and fetches or builds it if need be.
    pub find: &'a dyn Fn(&str) -> Result<LocatedModel, RunError>,
    /// Finds the tokenizer of the model that a name means, without its weights.
    pub tokenizer: &'a dyn Fn(&str) -> Result<LocatedModel, RunError>,
    /// What is not here of the model that a name means; `None` if it is here. Fetches nothing large.
    pub look: &'a dyn Fn(&str) -> Result<Option<AbsentModel>, RunError>,
    /// Where data is fetched from and goes to; looked up where something is missing, since all else needs no hub and no cache.
    pub hub: &'a dyn Fn() -> Result<&'a HubConfig, HubError>,
    /// Says something to whoever waits.
    pub say: &'a dyn Fn(&str),
    /// Flags that another command needs to know the same models and suites, with a space before each.
    pub flags: String,
    /// Says how far the work is.
    pub progress: &'a dyn Progress,
    /// Whether the work is to end early.
    pub stop: &'a Stop,
}

/// Asks models and writes the run. A finished run that is to be gone on with is read and not computed. What is not on this
/// machine is said and fetched, data first.
///
/// # Errors
/// Wrong usage, and whatever stops the work; until the first model's questions are tokens no folder is touched. What can be
/// known to stop it without large files stops it before these are fetched.
pub fn evaluate(options: &Options, world: &World<'_>) -> Result<Finished, RunError> {
    shard::check(options)?;
    if let (true, Some(folder)) = (options.places.resume, &options.places.out)
        && state(folder) == State::Complete
    {
        return complete::complete(folder, options, world);
    }
    let started = Timestamp::now();
    let suites = find_suites(&options.places.include_path, &options.suite)?;
    let mut session = Session::new(options, &suites, record(options, started)?, started);
    let folder = session.folder()?;
    let mut preparer = Preparer::new(options);

    let mut asked = variants::asked(&suites, options)?;
    let judge = Judge::new(&options.code, world.progress, world.stop);
    let mut judge = judge.keeping_in(&folder, &options.places.reuse);
    if !options.predict_only {
        judge.prepare(asked.iter().flat_map(|asked| &asked.tasks))?;
    }
    let needs = Needs::find(&asked, options, world)?;
    let present = open_present(&needs, &asked, options, world)?;
    let left = needs.meet(options, world)?;
    variants::leave_out(&mut asked, &left)?;
    session.leave_out(left);
    plan::say_before_weights(&needs, &asked, options, world, &mut preparer)?;
    let models = open_all(present, options, world)?;
    shots::warn(&models, &suites, options);

    let variants = subjects::variants(&models, &asked, options, &mut preparer)?;
    refuse_overlong(&models, &variants, options)?;
    let settings = settings(options, &models, &variants)?;
    if let Some(then) = &options.repeats {
        repeat::compare(then, &settings);
    }
    let mut place = RunFolder::new(folder, settings, options.places.resume);
    for (at, (model, variants)) in models.iter().zip(&variants).enumerate() {
        let turn = Turn { name: model.name().to_owned(), number: at + 1, of: models.len() };
        let (progress, stop) = (world.progress, world.stop);
        let keeper = Keeper { options, place: &mut place, turn, progress, stop };
        let mut who: Box<dyn Respondent> = match model {
            Model::Local(subject) => Box::new(Local::new(subject, keeper)),
            Model::Remote(served) => Box::new(Remote { served, keeper }),
        };
        let grading = if options.predict_only { Grading::Filter } else { Grading::Full(&mut judge) };
        session.ask(&mut *who, variants, grading)?;
    }
    session.finish(Some(place), None)
}

/// What the description of a run says of it before a model is asked.
fn record(options: &Options, started: Timestamp) -> Result<RunRecord, RunError> {
    Ok(RunRecord {
        protocol: options.protocol.join(", "),
        overlong: options.overlong.name().to_owned(),
        ..new_record(options, started)?
    })
}

/// The suites that a command line asks for; an unknown one is wrong usage.
fn find_suites(include_paths: &[PathBuf], wanted: &[String]) -> Result<Vec<Suite>, RunError> {
    Index::load_for(include_paths, wanted)?.choose(wanted).map_err(|error| match error {
        unknown @ TaskError::UnknownSuite { .. } => RunError::Usage(unknown.to_string()),
        other => other.into(),
    })
}

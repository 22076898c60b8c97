//! A run: who is asked what, in which ways, and where it lands on the disk.
//!
//! [`evaluate()`] asks models, [`score_run`] a finished run, [`score_answers`] whoever wrote a file. Each is a
//! [`Respondent`](respondent::Respondent), and what it answers goes one way: graded, into rows, into the files of a run.

mod again;
mod against;
mod answers;
mod chat;
mod complete;
mod error;
mod files;
mod folder;
mod follow;
mod forecast;
mod harness;
mod local;
mod options;
mod outcome;
mod respondent;
mod rows;
mod session;
mod settings;
mod subject;
mod submission;
mod variants;

use std::path::PathBuf;

use crate::base::progress::{Progress, Turn};
use crate::base::stop::Stop;
use crate::evaluate::{Overlong, grade};
use crate::records::{RunRecord, Timestamp};
use crate::tasks::{Index, Suite, TaskError};
use folder::{RunFolder, State, state};
use local::Local;
use session::{Session, new_record};
use settings::settings;
use subject::Subject;
use variants::Variant;

pub use again::score_run;
pub use against::compared_table;
pub use answers::{WrittenAnswers, score_answers};
pub use error::{RunError, Stopped};
pub use forecast::{Forecast, TaskForecast};
pub use options::{Computing, Options, Places};
pub use session::Finished;
pub use subject::{LocatedModel, name_of};

/// What a run takes from its surroundings.
pub struct World<'a> {
    /// Finds the model that a name means, and fetches or builds it if need be.
    pub find: &'a dyn Fn(&str) -> Result<LocatedModel, RunError>,
    /// Says how far the work is.
    pub progress: &'a dyn Progress,
    /// Whether the work is to end early.
    pub stop: &'a Stop,
}

/// Asks models and writes the run. A finished run that is to be gone on with is read and not computed.
///
/// # Errors
/// Wrong usage, and whatever stops the work; until the first model's questions are tokens no folder is touched.
pub fn evaluate(options: &Options, world: &World<'_>) -> Result<Finished, RunError> {
    if let (true, Some(folder)) = (options.places.resume, &options.places.out)
        && state(folder) == State::Complete
    {
        return complete::complete(folder, options);
    }
    let started = Timestamp::now();
    let record = RunRecord {
        protocol: options.protocol.join(", "),
        overlong: options.overlong.name().to_owned(),
        ..new_record(options, started)?
    };
    let suites = find_suites(&options.places.include_path, &options.suite)?;
    let mut session = Session::new(options, &suites, record, started);
    let folder = session.folder()?;
    let (subjects, variants) = prepare(&suites, options, world)?;
    if options.overlong == Overlong::Error {
        // Every model is looked at before the first one is computed.
        for (subject, variants) in subjects.iter().zip(&variants) {
            let tasks: Vec<_> = variants.iter().flat_map(|variant| &variant.tasks).cloned().collect();
            subject.questions(&tasks, options)?;
        }
    }
    let settings = settings(options, &subjects, &variants)?;
    let mut place = RunFolder::new(folder, settings, options.places.resume);
    for (at, (subject, variants)) in subjects.iter().zip(&variants).enumerate() {
        let turn = Turn { name: subject.name.clone(), number: at + 1, of: subjects.len() };
        let (progress, stop) = (world.progress, world.stop);
        let mut local = Local { subject, options, place: &mut place, turn, progress, stop };
        session.ask(&mut local, variants, grade)?;
    }
    session.finish(Some(place), None)
}

/// Says what [`evaluate()`] would compute, hold and take, model by model.
///
/// # Errors
/// As [`evaluate()`], before anything is computed.
pub fn forecast(options: &Options, world: &World<'_>) -> Result<Vec<Forecast>, RunError> {
    let suites = find_suites(&options.places.include_path, &options.suite)?;
    let (subjects, variants) = prepare(&suites, options, world)?;
    let both = subjects.iter().zip(&variants);
    both.map(|(subject, variants)| forecast::forecast(subject, variants, options)).collect()
}

/// The models, all found before the first one is computed, and the variants of each.
fn prepare(
    suites: &[Suite],
    options: &Options,
    world: &World<'_>,
) -> Result<(Vec<Subject>, Vec<Vec<Variant>>), RunError> {
    let find = |name: &String| Subject::open((world.find)(name)?, options);
    let subjects: Vec<Subject> = options.models.iter().map(find).collect::<Result<_, _>>()?;
    let variants = variants::variants(&subjects, suites, options)?;
    Ok((subjects, variants))
}

/// The suites that a command line asks for; an unknown one is wrong usage.
fn find_suites(include_paths: &[PathBuf], wanted: &[String]) -> Result<Vec<Suite>, RunError> {
    Index::load_for(include_paths, wanted)?.choose(wanted).map_err(|error| match error {
        unknown @ TaskError::UnknownSuite { .. } => RunError::Usage(unknown.to_string()),
        other => other.into(),
    })
}

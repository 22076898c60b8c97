//! `zoo plan`, `--dry-run`, and what is said of a run before weights are fetched for it.

use super::absent::{AbsentModel, memory_of_forms, placed};
use super::chat::Wanted;
use super::forecast::{AskedForecast, Forecast, PlannedModel};
use super::need::{Need, NeedKind, known_bytes, lines_about};
use super::needs::{Needs, pull_command};
use super::subject::{Subject, budget, matmul};
use super::subjects::speaker;
use super::variants::{self, Asked, Preparer, Speaker, Variant, leave_out};
use super::{Options, RunError, World, find_suites, shard};
use crate::config::ModelConfig;
use crate::forms::TokenizerSource;
use crate::hub::zoo_home;
use crate::kernels::Precision;
use crate::records::MissingData;
use crate::remote::Address;
use crate::report::numbers::duration;
use crate::weights::{Dtype, type_of_most};

/// The precisions whose time is forecast.
const PRECISIONS: [Precision; 3] = [Precision::Exact, Precision::Bf16, Precision::Int8];

/// Data of more bytes is not fetched for a plan.
const SMALL_DATA: u64 = 256 << 20;

/// Says what [`evaluate()`](super::evaluate) would fetch, hold, compute and take, model by model. Nothing large is fetched: of
/// models that are not here the tokenizer is, and of data what is small.
///
/// # Errors
/// Wrong usage, and files that cannot be used.
pub fn forecast(options: &Options, world: &World<'_>) -> Result<Vec<Forecast>, RunError> {
    shard::check(options)?;
    if let Some(name) = options.models.iter().find(|name| Address::is_one(name)) {
        return Err(RunError::Usage(format!(
            "{name}: what a served model takes is its server's affair; plan the models of this machine, or ask a few documents \
             (--limit) and see"
        )));
    }
    let suites = find_suites(&options.places.include_path, &options.suite)?;
    let mut asked = variants::asked(&suites, options)?;
    let needs = Needs::find(&asked, options, world)?;
    let data = small_data(&needs, options, world)?;
    let why_not = match data {
        Ok(left) => {
            leave_out(&mut asked, &left)?;
            lines_about(&left).iter().for_each(|line| tracing::warn!("{line}"));
            None
        }
        Err(why_not) => Some(why_not),
    };
    let mut preparer = Preparer::new(options);
    let mut planner = Planner { asked: &asked, options, preparer: &mut preparer, precisions: &PRECISIONS };
    let forecast = |name: &String| {
        let model = match needs.absent.iter().find(|model| model.asked == *name) {
            Some(model) => Model::Absent(model),
            None => Model::Here(Box::new(Subject::open((world.find)(name)?, options)?)),
        };
        let asked = match &why_not {
            Some(why) => Err(why.clone()),
            None => planner.asked_of(&model)?,
        };
        forecast_of(&model, &needs, options, asked)
    };
    options.models.iter().map(forecast).collect()
}

/// Sees to the data that the tasks of a plan are prepared from, and gives the tasks that are left out because theirs cannot be
/// had; else why not all of it is here.
fn small_data(
    needs: &Needs,
    options: &Options,
    world: &World<'_>,
) -> Result<Result<Vec<MissingData>, String>, RunError> {
    let skip = options.places.skip_missing_data;
    let left = match needs.without_data(skip) {
        Ok(left) => left,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let data: Vec<&Need> = needs.all.iter().filter(|need| need.kind == NeedKind::Data).collect();
    if data.is_empty() {
        return Ok(Ok(left));
    }
    let mut obstacles = data.iter().filter_map(|need| need.obstacle.clone());
    if let (false, Some(obstacle)) = (skip, obstacles.next()) {
        return Ok(Err(obstacle));
    }
    let hub = (world.hub)()?;
    let is_small = data.iter().all(|need| need.bytes.is_some() || need.obstacle.is_some())
        && known_bytes(data.iter().map(|need| need.bytes)) <= SMALL_DATA;
    if hub.offline || !is_small {
        return Ok(Err(format!("the data is not here ({})", pull_command(&[], &options.suite, world))));
    }
    (world.say)(&needs.said_of_data(hub));
    Ok(match needs.fetch_data(skip, hub, world) {
        Ok(more) => Ok([left, more].concat()),
        Err(RunError::During { doing, source }) => Err(format!("{doing}: {source}")),
        Err(error) => Err(error.to_string()),
    })
}

/// A model of a plan.
enum Model<'a> {
    Here(Box<Subject>),
    Absent(&'a AbsentModel),
}

impl Model<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Here(subject) => &subject.name,
            Self::Absent(model) => &model.card.id,
        }
    }

    /// Shape and constants, where they are known.
    fn config(&self) -> Option<&ModelConfig> {
        match self {
            Self::Here(subject) => Some(&subject.checkpoint.config),
            Self::Absent(model) => model.config.as_ref(),
        }
    }

    /// What is missing of the model itself.
    fn needs(&self) -> &[Need] {
        match self {
            Self::Here(_) => &[],
            Self::Absent(model) => &model.needs,
        }
    }
}

fn forecast_of(
    model: &Model<'_>,
    needs: &Needs,
    options: &Options,
    asked: Result<AskedForecast, String>,
) -> Result<Forecast, RunError> {
    let computing = &options.computing;
    let matmul = matmul(computing)?;
    let forms = model.config().map(|config| memory_of_forms(config, matmul.as_ref()));
    let own = needs.all.iter().filter(|need| need.kind == NeedKind::Data || model.needs().contains(need));
    Ok(Forecast {
        model: model.name().to_owned(),
        needs: own.cloned().collect(),
        forms: forms.transpose()?.unwrap_or_default(),
        budget: Some(budget(computing)).filter(|budget| *budget < u64::MAX / 2),
        asked,
    })
}

/// Puts questions to models as a run would, without their weights.
struct Planner<'a, 'p> {
    asked: &'a [Asked],
    options: &'a Options,
    preparer: &'a mut Preparer<'p>,
    /// Whose times are wanted beside that of the run's own.
    precisions: &'a [Precision],
}

impl Planner<'_, '_> {
    /// What a model would be asked, or why nobody can say.
    fn asked_of(&mut self, model: &Model<'_>) -> Result<Result<AskedForecast, String>, RunError> {
        match model {
            Model::Here(subject) => self.asked_of_subject(subject).map(Ok),
            Model::Absent(model) => Ok(self.asked_of_absent(model)?.ok_or_else(|| model.why_not_asked())),
        }
    }

    fn asked_of_subject(&mut self, subject: &Subject) -> Result<AskedForecast, RunError> {
        let needed = variants::wanted(self.asked, self.options)? != Wanted::None;
        let tokenizer = needed.then(|| subject.tokenizer()).transpose()?;
        let variants = speaker(subject).variants(tokenizer, self.asked, self.options, self.preparer)?;
        let model = PlannedModel {
            name: &subject.name,
            config: &subject.checkpoint.config,
            footprint: &subject.footprint,
            memory_budget: subject.memory_budget,
            placement: &subject.placement,
            limits: subject.limits,
            tokenizer: subject.tokenizer()?,
            matmul: subject.matmul,
            precision: subject.precision,
            weights: type_of_most(subject.checkpoint.weights.tensors()).unwrap_or(Dtype::F32),
        };
        self.put(&model, &variants)
    }

    /// `None` without the tokenizer or the shape of the model.
    fn asked_of_absent(&mut self, model: &AbsentModel) -> Result<Option<AskedForecast>, RunError> {
        let (Some(config), Some(folder)) = (&model.config, &model.tokenizer) else { return Ok(None) };
        let computing = &self.options.computing;
        let source = TokenizerSource::Folder(folder.clone());
        let tokenizer = source.read()?;
        let matmul = matmul(computing)?;
        let footprint = model.footprint(matmul.as_ref()).expect("its shape is known")?;
        let (placement, limits) = placed(config, &footprint, computing)?;
        let tokenizer_of = (&source, folder.as_path());
        let speaker =
            Speaker { name: &model.card.id, card: Some(&model.card), server: None, tokenizer: tokenizer_of };
        let variants = speaker.variants(Some(&tokenizer), self.asked, self.options, self.preparer)?;
        let model = PlannedModel {
            name: &model.card.id,
            config,
            footprint: &footprint,
            memory_budget: budget(computing),
            placement: &placement,
            limits,
            tokenizer: &tokenizer,
            matmul: matmul.name(),
            precision: computing.precision,
            weights: model.stored,
        };
        self.put(&model, &variants).map(Some)
    }

    fn put(&self, model: &PlannedModel<'_>, variants: &[Variant]) -> Result<AskedForecast, RunError> {
        let home = zoo_home().ok();
        AskedForecast::new(model, variants, self.options, home.as_deref(), self.precisions)
    }
}

/// What the run will take, said before weights are fetched; nothing where it is not known.
///
/// # Errors
/// Questions that cannot be put to a model, which are then found before its weights come.
pub fn say_before_weights(
    needs: &Needs,
    asked: &[Asked],
    options: &Options,
    world: &World<'_>,
    preparer: &mut Preparer<'_>,
) -> Result<(), RunError> {
    let mut planner = Planner { asked, options, preparer, precisions: &[] };
    for model in &needs.absent {
        let Some(found) = planner.asked_of_absent(model)? else { continue };
        let times = found.times.iter().map(|time| {
            format!(", about {} in {} arithmetic on this machine", duration(time.seconds), time.precision)
        });
        let time: String = times.collect();
        (world.say)(&format!("{}: {} tokens to compute{time}", model.card.id, found.tokens.computed));
    }
    Ok(())
}

//! `zoo plan`, `--dry-run`, and what is said of a run before weights are fetched for it.

use super::absent::{AbsentModel, memory_of_forms, placed};
use super::forecast::{AskedForecast, Forecast, PlannedModel};
use super::need::{Need, NeedKind};
use super::needs::Needs;
use super::subject::{Subject, budget, matmul};
use super::variants::{self, Asked, Preparer, Speaker};
use super::{Options, RunError, World, find_suites};
use crate::config::ModelConfig;
use crate::forms::TokenizerSource;
use crate::kernels::Precision;
use crate::report::numbers::duration;

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
    let suites = find_suites(&options.places.include_path, &options.suite)?;
    let asked = variants::asked(&suites, options)?;
    let needs = Needs::find(&asked, options, world)?;
    let data: Vec<&Need> = needs.all.iter().filter(|need| need.kind == NeedKind::Data).collect();
    let mut why_not = needs.without_data();
    if why_not.is_none() && !data.is_empty() {
        let bytes = data.iter().try_fold(0u64, |sum, need| sum.checked_add(need.bytes?));
        why_not = match bytes.filter(|bytes| *bytes <= SMALL_DATA && !world.hub.offline) {
            Some(_) => needs.fetch_data(world).err().map(|error| error.to_string()),
            None => Some(format!("the data is not here (zoo pull {}{})", suites_named(options), world.flags)),
        };
    }
    let mut preparer = Preparer::new(options);
    let mut forecasts = Vec::with_capacity(options.models.len());
    for name in &options.models {
        let absent = needs.absent.iter().find(|model| model.asked == *name);
        let forecast = match absent {
            Some(model) => {
                of_absent(model, &needs, &asked, options, world, &mut preparer, why_not.as_deref())?
            }
            None => of_subject(name, &needs, &asked, options, world, &mut preparer, why_not.as_deref())?,
        };
        forecasts.push(forecast);
    }
    Ok(forecasts)
}

fn suites_named(options: &Options) -> String {
    options.suite.iter().map(|suite| format!("suite:{suite}")).collect::<Vec<_>>().join(" ")
}

/// Of a model that is here.
fn of_subject(
    name: &str,
    needs: &Needs,
    asked: &[Asked],
    options: &Options,
    world: &World<'_>,
    preparer: &mut Preparer<'_>,
    why_not: Option<&str>,
) -> Result<Forecast, RunError> {
    let subject = Subject::open((world.find)(name)?, options)?;
    let config = &subject.checkpoint.config;
    let asked = match why_not {
        Some(why) => Err(why.to_owned()),
        None => {
            let subjects = std::slice::from_ref(&subject);
            let variants = variants::variants(subjects, asked, options, preparer)?.remove(0);
            let outline = PlannedModel {
                name: &subject.name,
                config,
                footprint: &subject.footprint,
                memory_budget: subject.memory_budget,
                placement: &subject.placement,
                limits: subject.limits,
                tokenizer: subject.tokenizer()?,
                matmul: subject.matmul,
                precision: subject.precision,
            };
            Ok(AskedForecast::new(&outline, &variants, options, Some(&world.hub.home), &PRECISIONS)?)
        }
    };
    let data = needs.all.iter().filter(|need| need.kind == NeedKind::Data);
    forecast_of(subject.name.clone(), data.cloned().collect(), Some(config), options, asked)
}

/// Of a model that is not here.
fn of_absent(
    model: &AbsentModel,
    needs: &Needs,
    asked: &[Asked],
    options: &Options,
    world: &World<'_>,
    preparer: &mut Preparer<'_>,
    why_not: Option<&str>,
) -> Result<Forecast, RunError> {
    let asked = match why_not {
        Some(why) => Err(why.to_owned()),
        None => match asked_of_absent(model, asked, options, world, preparer, &PRECISIONS)? {
            Some(asked) => Ok(asked),
            None => Err(model.why_not_asked()),
        },
    };
    let own = needs.all.iter().filter(|need| need.kind == NeedKind::Data || model.needs.contains(need));
    forecast_of(model.card.id.clone(), own.cloned().collect(), model.config.as_ref(), options, asked)
}

fn forecast_of(
    model: String,
    needs: Vec<Need>,
    config: Option<&ModelConfig>,
    options: &Options,
    asked: Result<AskedForecast, String>,
) -> Result<Forecast, RunError> {
    let computing = &options.computing;
    let matmul = matmul(computing)?;
    let forms =
        config.map(|config| memory_of_forms(config, matmul.as_ref())).transpose()?.unwrap_or_default();
    let budget = Some(budget(computing)).filter(|budget| *budget < u64::MAX / 2);
    Ok(Forecast { model, needs, forms, budget, asked })
}

/// What a model that is not here would be asked; `None` without its tokenizer or its shape.
fn asked_of_absent(
    model: &AbsentModel,
    asked: &[Asked],
    options: &Options,
    world: &World<'_>,
    preparer: &mut Preparer<'_>,
    precisions: &[Precision],
) -> Result<Option<AskedForecast>, RunError> {
    let (Some(config), Some(folder)) = (&model.config, &model.tokenizer) else { return Ok(None) };
    let source = TokenizerSource::Folder(folder.clone());
    let tokenizer = source.read()?;
    let matmul = matmul(&options.computing)?;
    let footprint = model.footprint(matmul.as_ref()).expect("its shape is known")?;
    let (placement, limits) = placed(config, &footprint, &options.computing)?;
    let speaker = Speaker { name: &model.card.id, card: Some(&model.card), tokenizer: (&source, folder) };
    let variants = speaker.variants(Some(&tokenizer), asked, options, preparer)?;
    let outline = PlannedModel {
        name: &model.card.id,
        config,
        footprint: &footprint,
        memory_budget: budget(&options.computing),
        placement: &placement,
        limits,
        tokenizer: &tokenizer,
        matmul: matmul.name(),
        precision: options.computing.precision,
    };
    AskedForecast::new(&outline, &variants, options, Some(&world.hub.home), precisions).map(Some)
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
    for model in &needs.absent {
        let Some(found) = asked_of_absent(model, asked, options, world, preparer, &[])? else { continue };
        let times = found.times.iter().map(|time| {
            format!(", about {} in {} arithmetic on this machine", duration(time.seconds), time.precision)
        });
        let time: String = times.collect();
        (world.say)(&format!("{}: {} tokens to compute{time}", model.card.id, found.tokens.computed));
    }
    Ok(())
}

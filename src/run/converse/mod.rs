//! Conversations with models: each has its own history and its own template, and all are asked the same.

mod partner;
mod transcript;
mod turn;

pub use transcript::Transcript;
pub use turn::{Hearer, Turn};

use super::answering::Answering;
use super::needs::Needs;
use super::subject::budget;
use super::{RunError, World};
use crate::base::stop::Stop;
use partner::Partner;

/// With whom to speak, and how.
#[derive(Debug, Clone)]
pub struct ChatOptions {
    /// Models, by whatever names the caller can find.
    pub models: Vec<String>,
    /// How they are asked; an answer may have as many tokens as the model has positions.
    pub answering: Answering,
}

/// A conversation with one model or several.
pub struct Chat {
    partners: Vec<Partner>,
    system: Option<String>,
    /// Messages since the beginning, answered or not.
    messages: usize,
}

impl Chat {
    /// Opens the models, one after the other, each with its weights.
    ///
    /// # Errors
    /// Models that cannot be found or run, and a system message that one of them has no place for.
    pub fn open(options: &ChatOptions, world: &World<'_>) -> Result<Self, RunError> {
        let mut own = options.answering.of_run(options.models.clone());
        Needs::find(&[], &own, world)?.meet(&own, world)?;
        if let several @ 2.. = options.models.len() {
            // Each has the same part of the memory, since all stay in it.
            own.computing.memory = Some(budget(&own.computing) / several as u64);
        }
        let open = |name: &String| Partner::open(name, &options.answering, &own, world);
        let mut partners: Vec<Partner> = options.models.iter().map(open).collect::<Result<_, _>>()?;
        for at in 0..partners.len() {
            if partners.iter().filter(|partner| partner.name == partners[at].name).count() > 1 {
                partners[at].name.clone_from(&options.models[at]);
            }
        }
        let mut chat = Self { partners, system: None, messages: 0 };
        if let Some(system) = &options.answering.system {
            chat.set_system(Some(system))?;
        }
        Ok(chat)
    }

    /// The models' names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.partners.iter().map(|partner| partner.name.as_str())
    }

    /// In a line for each model: how it is spoken with.
    pub fn introductions(&self) -> Vec<String> {
        self.partners.iter().map(Partner::introduction).collect()
    }

    /// The system message.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// From now on this is the system message, also before what was said already.
    ///
    /// # Errors
    /// A model whose template has no place for it; nothing is changed then.
    pub fn set_system(&mut self, system: Option<&str>) -> Result<(), RunError> {
        if let Some(system) = system {
            self.partners.iter().try_for_each(|partner| partner.check_system(system))?;
        }
        self.system = system.map(str::to_owned);
        Ok(())
    }

    /// Forgets all that was said. The system message stays, and what is drawn begins anew.
    pub fn reset(&mut self) {
        self.partners.iter_mut().for_each(Partner::reset);
        self.messages = 0;
    }

    /// A new message is put to the models.
    pub fn begin(&mut self) {
        self.messages += 1;
    }

    /// Puts it to the model with this index. `None` if it was stopped before it said anything: the message is as if it had not
    /// been asked then.
    ///
    /// # Errors
    /// A message that the template has no form for or that does not fit by itself, and whatever stops the work.
    pub fn ask(
        &mut self,
        partner: usize,
        message: &str,
        stop: &Stop,
        hearer: &mut dyn Hearer,
    ) -> Result<Option<&Turn>, RunError> {
        self.partners[partner].ask((self.messages, message), self.system.as_deref(), stop, hearer)
    }

    /// All that was said.
    ///
    /// # Errors
    /// Digests that cannot be had.
    pub fn transcript(&self) -> Result<Transcript, RunError> {
        let system = self.system.as_deref();
        let parts = self.partners.iter().map(|partner| partner.transcript(system));
        Ok(Transcript::new(parts.collect::<Result<_, _>>()?))
    }
}

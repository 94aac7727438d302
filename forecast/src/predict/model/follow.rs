//! Following a guest where Linux leaves a step open: which of the allowed outcomes was it?

use std::collections::BTreeSet;

use dimmer_oracle::chance::Chance;
use dimmer_oracle::memory::Errno;
use dimmer_report::Layout;

use super::Prediction;
use crate::scenario::{Action, Effect, OutcomeWord};
use crate::verdict;

/// What was seen of a guest in one step.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What came of the step.
    pub effect: &'a Effect,
    /// The layout after it.
    pub layout: &'a Layout,
}

impl Prediction {
    /// Carries out one step as a guest was seen to, where Linux leaves it open. What comes of it is exact, given
    /// which kernel memory could be moved; it differs from what was seen where that is not allowed at all.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn follow(&mut self, action: &Action<'_>, seen: Seen<'_>) -> Result<Effect, String> {
        self.linux.follow_requests(|id| Some(seen.effect.requests.get(id).cloned().unwrap_or_default()));
        let mut first = None;
        for chance in self.chances(action, seen)? {
            let mut model = self.clone();
            let effect = model.carry_out(action, chance)?;
            model.adopt(seen.effect);
            if (effect.outcome, &effect.occasions) == (seen.effect.outcome, &seen.effect.occasions)
                && verdict::blocks_agree(&model.linux.memory, seen.layout)
            {
                *self = model;
                return Ok(effect);
            }
            first.get_or_insert((model, effect));
        }
        let (model, effect) = first.ok_or("there is always one way to go on")?;
        *self = model;
        Ok(effect)
    }

    /// What may have been the case, the likeliest first. For `offline` the guest says which blocks refused. When
    /// it refuses to eject a device, those that stayed in their zone all the time are not told from those that
    /// went and came back to it: any of them may be; beyond that, only the outermost matter to zones.
    fn chances(&self, action: &Action<'_>, seen: Seen<'_>) -> Result<Vec<Chance>, String> {
        match action {
            Action::Offline(_) | Action::Write(_) => {
                let busy = seen.effect.refused.iter().filter(|(_, errno)| *errno == Errno::EBUSY);
                Ok(vec![Chance::all_but(busy.map(|(index, _)| *index).collect())])
            }
            Action::Run(_) => Ok(vec![Chance::all_but(super::command::refused(action, seen.layout))]),
            Action::Unplug(_) | Action::Eject(_) if seen.effect.outcome == Some(OutcomeWord::Refused) => {
                let open = self.clone().apply(action)?.open;
                let memory = &self.linux.memory;
                let stayed =
                    open.iter().copied().filter(|index| verdict::block_agrees(memory, *index, seen.layout));
                let ends = open
                    .iter()
                    .flat_map(|first| open.range(first..).map(|last| BTreeSet::from([*first, *last])));
                Ok(std::iter::once(stayed.collect()).chain(ends).map(Chance::all_but).collect())
            }
            // Near the limit of kernel memory, a device comes or does not.
            Action::Plug(_) | Action::Dax(_) if !self.clone().apply(action)?.open.is_empty() => {
                Ok(vec![Chance::default(), Chance::short()])
            }
            _ if !self.linux.faults.occasions().is_empty() => {
                Ok(vec![Chance::default(), Chance::with_unseen_requests()])
            }
            _ => Ok(vec![Chance::default()]),
        }
    }
}

//! What a run told its switch, to be told again without the rest of the world: for `benches/call.rs`.

use super::World;
use crate::ids::IdSource;
use crate::sim::seed::{Centre, Population, Setting};
use crate::switch::{Input, Switch};
use crate::time::Time;

/// The inputs of a run in their order. Told to [`Tape::switch`], they have the effects that they had.
#[derive(Debug)]
pub struct Tape {
    setting: Setting,
    centre: Centre,
    pub inputs: Vec<(Time, Input)>,
}

impl Tape {
    /// Runs a setting to its end and keeps what its switch was told. What did not hold is the error.
    pub fn record(setting: &Setting, centre: &Centre) -> Result<Self, Vec<String>> {
        let mut world = World::new(setting, centre, false);
        world.tape = Some(Vec::new());
        let (outcome, inputs) = world.run_taped();
        if outcome.wrong.is_empty() {
            Ok(Self { setting: *setting, centre: centre.clone(), inputs })
        } else {
            Err(outcome.wrong)
        }
    }

    /// The run's switch as it was before the first input.
    pub fn switch(&self) -> Switch {
        let roster = Population::draw(&self.setting, &mut IdSource::from_seed(self.setting.seed)).roster;
        Switch::new(super::boot(&self.setting, &self.centre, roster))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sim::centre;
    use crate::switch::Effect;

    fn effects(switch: &mut Switch) -> Vec<Effect> {
        core::iter::from_fn(|| switch.poll_effect()).collect()
    }

    #[test]
    fn a_tape_played_twice_has_the_same_effects_and_ends_every_call() {
        let setting = Setting { calls: 20, ..Setting::short(2) };
        let tape = Tape::record(&setting, &centre().unwrap()).unwrap();
        let (mut one, mut two) = (tape.switch(), tape.switch());
        for (now, input) in &tape.inputs {
            one.handle(*now, input.clone());
            two.handle(*now, input.clone());
            assert_eq!(effects(&mut one), effects(&mut two));
        }
        assert!(one.counts().accepted > 10 && one.left().is_empty(), "{:?}", one.counts());
    }
}

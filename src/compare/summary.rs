//! Changes put together: by kind, by layer, by both.

use std::collections::BTreeMap;

use super::{PairMoments, TensorChange, TensorKind, TensorPlace};

/// Tensors taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TensorGroup {
    /// How many.
    pub tensors: usize,
    /// How many of them changed.
    pub changed: usize,
    /// The sums over all their elements.
    pub moments: PairMoments,
    /// Σ of the energy in the top r, weighted with `‖Δ‖_F²`, and the weights: see [`TensorGroup::mean_energy`].
    energy: [f64; 2],
    /// Σ and number of stable ranks.
    stable_rank: [f64; 2],
}

impl TensorGroup {
    fn add(&mut self, change: &TensorChange, rank: usize) {
        self.tensors += 1;
        self.changed += usize::from(!change.moments.is_equal() || change.common_rows().is_some());
        self.moments = self.moments.plus(&change.moments);
        let Some(spectrum) = &change.spectrum else { return };
        if let Some(energy) = spectrum.energy(rank) {
            self.energy[0] += energy * spectrum.total;
            self.energy[1] += spectrum.total;
        }
        if let Some(stable) = spectrum.stable_rank() {
            self.stable_rank[0] += stable;
            self.stable_rank[1] += 1.0;
        }
    }

    /// The share of `‖Δ‖_F²` of all matrices that is in the top r of each; `None` without spectra.
    pub fn mean_energy(&self) -> Option<f64> {
        let [sum, weight] = self.energy;
        (weight > 0.0).then(|| sum / weight)
    }

    /// The mean stable rank; `None` without spectra.
    pub fn mean_stable_rank(&self) -> Option<f64> {
        let [sum, count] = self.stable_rank;
        (count > 0.0).then(|| sum / count)
    }
}

/// All tensors as one group.
pub fn all(changes: &[TensorChange]) -> TensorGroup {
    let mut group = TensorGroup::default();
    changes.iter().for_each(|change| group.add(change, 0));
    group
}

/// One group to a kind; `rank` is the r of [`TensorGroup::mean_energy`].
pub fn by_kind(changes: &[TensorChange], rank: usize) -> BTreeMap<TensorKind, TensorGroup> {
    grouped(changes, rank, |place| place.kind)
}

/// One group to a layer; `None` holds what belongs to no layer.
pub fn by_layer(changes: &[TensorChange], rank: usize) -> BTreeMap<Option<u32>, TensorGroup> {
    grouped(changes, rank, |place| place.layer)
}

/// One group to a layer and kind.
pub fn by_layer_and_kind(
    changes: &[TensorChange],
    rank: usize,
) -> BTreeMap<(Option<u32>, TensorKind), TensorGroup> {
    grouped(changes, rank, |place| (place.layer, place.kind))
}

fn grouped<K: Ord>(
    changes: &[TensorChange],
    rank: usize,
    key: fn(&TensorPlace) -> K,
) -> BTreeMap<K, TensorGroup> {
    let mut groups: BTreeMap<K, TensorGroup> = BTreeMap::new();
    for change in changes {
        groups.entry(key(&change.place)).or_default().add(change, rank);
    }
    groups
}

//! What the numbers of a weight are, asked when it is packed: it decides in which way they are multiplied.

use half::f16;
use rayon::prelude::*;

use super::super::super::isa::Operands;
use super::super::super::panels::Panels;
use super::super::{few, split};

/// What is true of all numbers of a weight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// They are of f32 or f16, and all are rounded to numbers.
    pub are_ordinary: bool,
    /// They are of f32, ordinary, and all are sums of two parts.
    pub are_short: bool,
}

impl Numbers {
    /// Looks at every number once, since a model's start waits for it.
    pub(super) fn of(panels: &Panels) -> Self {
        let look = |bytes: &[u8]| match panels.operands() {
            Operands::F32 => {
                let are_short = split::are_short(bytemuck::cast_slice(bytes));
                let are_ordinary = few::are_ordinary::<f32>(bytes);
                Numbers { are_ordinary, are_short: are_ordinary && are_short }
            }
            Operands::F16 => Numbers { are_ordinary: few::are_ordinary::<f16>(bytes), are_short: false },
            _ => Numbers { are_ordinary: false, are_short: false },
        };
        let both = |one: Numbers, other: Numbers| Numbers {
            are_ordinary: one.are_ordinary && other.are_ordinary,
            are_short: one.are_short && other.are_short,
        };
        let numbers = (0..panels.rows.div_ceil(panels.width))
            .into_par_iter()
            .map(|panel| panels.with_part(panel, 0, panels.columns, look));
        numbers.reduce(|| Numbers { are_ordinary: true, are_short: true }, both)
    }
}

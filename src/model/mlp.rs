//! What a block does with each token by itself: a wide layer with an activation, and back.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::Linear;
use super::rows::{for_rows, row};
use crate::kernels::exp;

/// The feed-forward layer of a block.
pub struct Mlp {
    /// What is done inside.
    pub activation: Activation,
    /// `[intermediate, hidden]`.
    pub up: Linear,
    /// `[hidden, intermediate]`.
    pub down: Linear,
}

/// Activations of the wide layer.
pub enum Activation {
    /// `silu(gate(x)) * up(x)` (Shazeer 2020).
    SwiGlu {
        /// `[intermediate, hidden]`.
        gate: Linear,
    },
    /// `gelu(up(x))`, in the form with tanh.
    Gelu,
}

impl Mlp {
    /// Overwrites `inner: [tokens, intermediate]` with what [`down`](Self::down) reads, for `x: [tokens, hidden]`; `gated`
    /// has the shape of `inner` where there is a gate.
    pub fn activate(&self, x: ArrayView2<f32>, mut inner: ArrayViewMut2<f32>, mut gated: ArrayViewMut2<f32>) {
        match &self.activation {
            Activation::SwiGlu { gate } => {
                Linear::apply_all([gate, &self.up], x, [inner.view_mut(), gated.view_mut()]);
                let up = gated.view();
                for_rows(inner, |index, gate| exp::swiglu(gate, row(&up, index)));
            }
            Activation::Gelu => {
                self.up.apply(x, inner.view_mut());
                for_rows(inner, |_, inner| exp::gelu_tanh(inner));
            }
        }
    }

    /// The matrices, in the order in which a token passes them.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        let gate = match &self.activation {
            Activation::SwiGlu { gate } => Some(gate),
            Activation::Gelu => None,
        };
        gate.into_iter().chain([&self.up, &self.down])
    }
}

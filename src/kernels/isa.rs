//! What this processor can do, asked once at run time.

use std::sync::OnceLock;

use super::tile::{self, PanelFn};

/// An instruction set for which there are kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, whatever the processor.
    Plain,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 Foundation.
    Avx512,
}

impl Isa {
    /// The widest that this processor has.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::all().last().copied().unwrap_or(Isa::Plain))
    }

    /// All that this processor has, the narrowest first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Isa::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                all.push(Isa::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    all.push(Isa::Avx512);
                }
            }
        }
        all
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Plain => "plain",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Columns of a panel.
    pub const fn panel_width(self) -> usize {
        match self {
            Isa::Plain | Isa::Avx2 => 16,
            Isa::Avx512 => 32,
        }
    }

    /// Rows of the widest tile.
    pub const fn tile_rows(self) -> usize {
        match self {
            Isa::Plain => 2,
            Isa::Avx2 => 6,
            Isa::Avx512 => 12,
        }
    }

    /// The product of rows and one panel.
    pub(super) fn panel(self) -> PanelFn {
        match self {
            Isa::Plain => tile::plain,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => tile::avx2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => tile::avx512,
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => tile::plain,
        }
    }
}

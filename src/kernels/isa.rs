//! Instruction sets of this processor, asked for once at run time.

use std::sync::OnceLock;

use serde::Serialize;

#[cfg(target_arch = "x86_64")]
use super::amx::detect::has_tiles;
use super::amx::unit::Unit;
use super::tile::{self, Bf16, F16, F32, PanelFn};
use crate::base::names::name_of;

/// An instruction set for which there are kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isa {
    /// Plain Rust, whatever the processor.
    Plain,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 Foundation.
    Avx512,
    /// The same with products of bytes, AVX-512 VNNI.
    Avx512Vnni,
    /// The same with products of bf16 numbers too, AVX-512 BF16.
    Avx512Bf16,
    /// The same with products of tiles of bf16 numbers, AMX.
    AmxBf16,
    /// Tiles in plain Rust, some hundred times as slow: with them processors without tiles test all that is around tiles. Chosen
    /// only by name.
    SoftTiles,
}

impl Isa {
    /// Has all products of this process made with one instruction set, before the first one is made.
    ///
    /// # Errors
    /// Names of no instruction set of this processor, and a choice that was made before.
    pub fn ask_for(name: &str) -> Result<(), String> {
        let here = Self::with_stand_in();
        let found = here.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| {
            let names: Vec<_> = here.iter().map(|isa| isa.name()).collect();
            format!("expected an instruction set of this processor ({}), found {name}", names.join(", "))
        })?;
        if *ASKED_FOR.get_or_init(|| Some(found)) == Some(found) {
            Ok(())
        } else {
            Err("products were made before".to_owned())
        }
    }

    /// What was asked for.
    pub(super) fn asked_for() -> Option<Self> {
        *ASKED_FOR.get_or_init(|| None)
    }

    /// All that this processor has, and tiles in plain Rust where it has none.
    pub fn with_stand_in() -> Vec<Self> {
        let mut all = Self::all().to_vec();
        if !all.contains(&Isa::AmxBf16) {
            all.push(Isa::SoftTiles);
        }
        all
    }

    /// Whether it can be used here.
    pub fn is_here(self) -> bool {
        self == Isa::SoftTiles || Self::all().contains(&self)
    }

    /// The vectors of everything that is no product of tiles.
    pub fn vectors(self) -> Self {
        match self {
            Isa::AmxBf16 => Isa::Avx512Bf16,
            Isa::SoftTiles => {
                Self::all().iter().copied().rfind(|isa| *isa != Isa::AmxBf16).unwrap_or(Isa::Plain)
            }
            vectors => vectors,
        }
    }

    /// What computes tiles, where products are made of them.
    pub(super) fn tiles(self) -> Option<Unit> {
        match self {
            Isa::AmxBf16 => Some(Unit::Hardware),
            Isa::SoftTiles => Some(Unit::Software),
            _ => None,
        }
    }

    /// Whether products are made of tiles of bf16 numbers.
    pub const fn has_tiles(self) -> bool {
        matches!(self, Isa::AmxBf16 | Isa::SoftTiles)
    }

    /// All that this processor has, the narrowest first.
    pub fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Isa>> = OnceLock::new();
        ALL.get_or_init(Self::found)
    }

    fn found() -> Vec<Self> {
        let mut all = vec![Isa::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            let with_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            // Each is taken only where those before it are.
            let wider = [
                (Isa::Avx2, with_avx2),
                (Isa::Avx512, is_x86_feature_detected!("avx512f")),
                (Isa::Avx512Vnni, is_x86_feature_detected!("avx512vnni")),
                (Isa::Avx512Bf16, is_x86_feature_detected!("avx512bf16")),
                (Isa::AmxBf16, has_tiles()),
            ];
            all.extend(wider.into_iter().take_while(|(_, is_there)| *is_there).map(|(isa, _)| isa));
        }
        all
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        name_of(&self)
    }

    /// Columns of a panel.
    pub const fn panel_width(self) -> usize {
        match self {
            Isa::Plain | Isa::Avx2 => 16,
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 | Isa::AmxBf16 | Isa::SoftTiles => 32,
        }
    }

    /// Rows of the widest tile.
    pub const fn tile_rows(self) -> usize {
        match self {
            Isa::Plain => 2,
            Isa::Avx2 => 6,
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => 12,
            Isa::AmxBf16 | Isa::SoftTiles => 32,
        }
    }

    /// Whether bf16 numbers are multiplied and added in one instruction.
    pub const fn has_bf16_products(self) -> bool {
        matches!(self, Isa::Avx512Bf16 | Isa::AmxBf16 | Isa::SoftTiles)
    }

    /// The product of rows and one panel.
    ///
    /// # Panics
    /// If there is none: pairs of bf16 numbers on an instruction set without [their products](Self::has_bf16_products), and
    /// tiles, which have a way of their own.
    pub(super) fn panel(self, operands: Operands) -> PanelFn {
        macro_rules! of {
            ($set:ident) => {
                match operands {
                    Operands::Strided => tile::$set::<F32, false>,
                    Operands::F32 => tile::$set::<F32, true>,
                    Operands::F16 => tile::$set::<F16, true>,
                    Operands::Bf16 => tile::$set::<Bf16, true>,
                    Operands::Bf16Pairs | Operands::StridedBf16Pairs => {
                        panic!("{} multiplies no pairs of bf16 numbers", self.name())
                    }
                }
            };
        }
        #[cfg(target_arch = "x86_64")]
        match (self, operands) {
            (Isa::Avx512Bf16, Operands::Bf16Pairs) => return tile::avx512_bf16::<true>,
            (Isa::Avx512Bf16, Operands::StridedBf16Pairs) => return tile::avx512_bf16::<false>,
            _ => {}
        }
        match self {
            Isa::Plain => of!(plain),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => of!(avx2),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => of!(avx512),
            Isa::AmxBf16 | Isa::SoftTiles => panic!("{} has no vectors of its own", self.name()),
            #[cfg(not(target_arch = "x86_64"))]
            _ => of!(plain),
        }
    }
}

/// What [`Isa::ask_for`] was told; empty once the first product was made without.
static ASKED_FOR: OnceLock<Option<Isa>> = OnceLock::new();

/// What a product reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operands {
    /// Rows of f32 at strides, on both sides.
    Strided,
    /// Packed activations, and a panel of f32.
    F32,
    /// Packed activations, and a panel of [`F16`].
    F16,
    /// Packed activations, and a panel of [`Bf16`].
    Bf16,
    /// Pairs of bf16 numbers on both sides, packed.
    Bf16Pairs,
    /// The same at strides.
    StridedBf16Pairs,
}

//! How the eight tile registers are divided, for as many rows as there are.

use super::ROWS;

/// How large the registers are, in rows of 64 bytes.
#[repr(C, align(64))]
pub(super) struct Configuration {
    palette: u8,
    start_row: u8,
    zero: [u8; 14],
    bytes_of_row: [u16; 16],
    rows: [u8; 16],
}

impl Configuration {
    /// Registers up to number `last` of `rows` rows, those behind of 16.
    const fn new(rows: usize, last: usize) -> Self {
        let mut of_register = [0; 16];
        let mut register = 0;
        while register < 8 {
            of_register[register] = if register <= last { rows as u8 } else { ROWS as u8 };
            register += 1;
        }
        let bytes_of_row = [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0];
        Self { palette: 1, start_row: 0, zero: [0; 14], bytes_of_row, rows: of_register }
    }

    /// One for each number of rows up to 16.
    const fn of_few(last: usize) -> [Self; ROWS] {
        let mut all = [const { Self::new(ROWS, 7) }; ROWS];
        let mut rows = 1;
        while rows < ROWS {
            all[rows - 1] = Self::new(rows, last);
            rows += 1;
        }
        all
    }
}

/// All eight registers are whole tiles.
pub(super) static WHOLE_TILES: Configuration = Configuration::new(ROWS, 7);
/// Sums and activations of fewer rows than a tile has, 1 × 4 tiles of sums: what is not there is neither read nor multiplied, so that
/// there is time and room for weights.
pub(super) static FEW_OF_FOUR: [Configuration; ROWS] = Configuration::of_few(6);
/// The same for 1 × 2 tiles of sums.
pub(super) static FEW_OF_TWO: [Configuration; ROWS] = Configuration::of_few(5);

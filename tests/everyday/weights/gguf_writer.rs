//! Quantising, against the blocks that the `gguf` Python package makes of the same values.

use std::path::Path;

use zoo::weights::{Dtype, GgufFile, TensorSource};

#[test]
fn blocks_are_those_of_the_gguf_package() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quantize/quantized.gguf");
    let file = GgufFile::open(path).unwrap();
    for (name, dtype) in [("q8_0", Dtype::Q8_0), ("q4_0", Dtype::Q4_0)] {
        let ours = file.tensor("values").unwrap().cast(dtype).unwrap();
        let theirs = file.tensor(name).unwrap();
        assert_eq!(theirs.info.dtype, dtype);
        let blocks = ours.chunks(dtype.block_bytes()).zip(theirs.data.chunks(dtype.block_bytes()));
        for (index, (ours, theirs)) in blocks.enumerate() {
            assert_eq!(ours, theirs, "{name}, block {index}");
        }
        assert_eq!(ours.len(), theirs.data.len());
    }
}

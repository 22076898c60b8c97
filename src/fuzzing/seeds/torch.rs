//! Files of `torch.save`: pickles by themselves, and both containers.

use super::Seeds;
use crate::weights::torch::testing::{Pickle, View, container, file_of, old_container, zip, zip64};

fn pickle() -> Pickle {
    Pickle::new()
}

/// A tensor `w` made by a call that the caller writes.
fn one(call: impl FnOnce(Pickle) -> Pickle) -> Vec<u8> {
    call(pickle().raw(b"}").text("w")).raw(b"s.").0
}

/// Pickles over storages `0`, `1` and `2` of 16, 64 and 4096 bytes.
pub(super) fn pickles() -> Seeds {
    let whole = View::whole("0", &[4]);
    let view = |size: &[i64], stride: &[i64]| View::whole("1", &[16]).at(2, size, stride);
    let typed = |class: &'static str, elements: i64| View { class, ..View::whole("1", &[elements]) };
    let nested = pickle()
        .raw(b"}(")
        .text("epoch")
        .raw(b"K\x03")
        .text("loss")
        .raw(b"G?\xf0\0\0\0\0\0\0")
        .text("state_dict")
        .global("collections", "OrderedDict")
        .raw(b")Rq\x01(")
        .text("a.weight")
        .tensor(&whole)
        .raw(b"u}")
        .text("_metadata")
        .raw(b"h\x01sbu.");
    let dtypes = [
        ("a", typed("HalfStorage", 32)),
        ("b", View { key: "2".into(), elements: 512, ..typed("DoubleStorage", 8) }),
        ("c", View { key: "0".into(), ..typed("BoolStorage", 16) }),
    ];
    // Protocol 4: a frame, short strings, names from the stack, and a memo that counts by itself.
    let protocol_4 = b"\x80\x04\x95\x5f\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01w\x94\x8c\x0ctorch._utils\x94\
        \x8c\x12_rebuild_tensor_v2\x94\x93\x94((\x8c\x07storage\x94\x8c\x05torch\x94\x8c\x0cFloatStorage\x94\x93\x94\
        \x8c\x010\x94\x8c\x03cpu\x94K\x04t\x94QK\x00K\x04\x85\x94K\x01\x85\x94\x89N\x74\x94R\x94s.";
    // Protocol 0: numbers, truth values and strings as lines.
    let lines = b"(dp0\nS'w'\np1\nctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nV0\nS\"cpu\"\n\
        I4\ntQL0L\n(I2\nI2\nt(I2\nI1\ntI00\nNtRsg1\n0.";
    let untyped = one(|p| {
        p.global("torch._utils", "_rebuild_tensor_v3")
            .raw(b"((")
            .text("storage")
            .global("torch.storage", "UntypedStorage")
            .text("0")
            .text("cpu")
            .raw(b"K\x10tQK\x00K\x04\x85K\x01\x85\x89}")
            .global("torch", "float32")
            .raw(b"}tR")
    });
    let parameter =
        one(|p| p.global("torch._utils", "_rebuild_parameter").raw(b"(").tensor(&whole).raw(b"\x88}tR"));
    let escape = View { key: "../0".into(), ..whole.clone() };
    vec![
        ("good-whole", Pickle::state_dict(&[("w", whole.clone()), ("v", View::whole("1", &[4, 4]))])),
        (
            "good-views",
            Pickle::state_dict(&[
                ("transposed", view(&[3, 4], &[1, 3])),
                ("rows", view(&[2, 2], &[4, 1])),
                ("repeated", view(&[5, 2], &[0, 1])),
                ("scalar", view(&[], &[])),
                ("empty", view(&[0, 3], &[3, 1])),
            ]),
        ),
        ("good-types", Pickle::state_dict(&dtypes)),
        ("good-nested", nested.0),
        ("good-protocol-4", protocol_4.to_vec()),
        ("good-lines", lines.to_vec()),
        ("good-untyped", untyped),
        ("good-parameter", parameter),
        ("good-long-name", Pickle::state_dict(&[(&"n".repeat(1024), whole.clone())])),
        ("bad-call", pickle().global("os", "system").raw(b"(").text("true").raw(b"tR.").0),
        ("bad-call-from-stack", b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93)R.".to_vec()),
        ("bad-instance", b"(ios\nsystem\n.".to_vec()),
        ("bad-extension", b"\x80\x02\x82\x01.".to_vec()),
        ("bad-type", Pickle::state_dict(&[("w", View { class: "QInt8Storage", ..whole.clone() })])),
        ("bad-holds-itself", b"\x80\x02]q\x00h\x00ah\x00.".to_vec()),
        ("bad-depth", [&b"\x80\x02N"[..], &[0x85; 200], b"."].concat()),
        ("bad-memo", b"\x80\x02}j\xff\xff\xff\xff.".to_vec()),
        ("bad-string-length", b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.".to_vec()),
        ("bad-escape", Pickle::state_dict(&[("w", escape)])),
        ("bad-missing-storage", Pickle::state_dict(&[("w", View::whole("9", &[4]))])),
        ("bad-outside", Pickle::state_dict(&[("w", whole.clone().at(3, &[2], &[1]))])),
        ("bad-stride", Pickle::state_dict(&[("w", whole.clone().at(0, &[2, 2], &[i64::MAX, 1]))])),
        ("bad-size", Pickle::state_dict(&[("w", whole.clone().at(0, &[1 << 40, 1 << 40], &[0, 0]))])),
        ("bad-unfolds", Pickle::state_dict(&[("w", whole.clone().at(0, &[1 << 30], &[0]))])),
        ("bad-twice", Pickle::state_dict(&[("w", whole.clone()), ("w", whole)])),
    ]
}

pub(super) fn zip_files() -> Seeds {
    let good = file_of(&[("w", &[2, 2], vec![1.0, 2.0, 3.0, 4.0]), ("b", &[2], vec![0.5, -0.5])]);
    let state = Pickle::state_dict(&[("w", View::whole("0", &[2]))]);
    let storage = [0u8; 8];
    let members = |names: [&'static str; 3]| {
        let content: [&[u8]; 3] = [&state, b"little", &storage];
        names.into_iter().zip(content).collect::<Vec<_>>()
    };
    let usual = ["m/data.pkl", "m/byteorder", "m/data/0"];
    let mut comment = zip(&members(usual));
    let length = comment.len();
    comment[length - 2] = 3;
    comment.extend(b"PK\x05");
    // The second local header is said to be where the first is.
    let mut overlap = zip(&members(usual));
    let directory: Vec<usize> =
        (0..overlap.len()).filter(|&at| overlap[at..].starts_with(b"PK\x01\x02")).collect();
    overlap[directory[1] + 42..directory[1] + 46].fill(0);
    let mut deflated = zip(&members(usual));
    deflated[directory[0] + 10] = 8;
    vec![
        ("good-file", good.clone()),
        ("good-zip64", zip64(&members(usual))),
        ("good-no-folder", zip(&members(["data.pkl", "byteorder", "data/0"]))),
        ("good-comment", comment),
        ("bad-cut", good[..good.len() - 9].to_vec()),
        ("bad-traversal", zip(&members(["m/data.pkl", "m/../../byteorder", "m/data/0"]))),
        ("bad-absolute", zip(&members(["/m/data.pkl", "m/byteorder", "m/data/0"]))),
        ("bad-two-pickles", zip(&members(["m/data.pkl", "n/data.pkl", "m/data/0"]))),
        ("bad-program", zip(&members(["m/data.pkl", "m/constants.pkl", "m/data/0"]))),
        ("bad-member-twice", zip(&members(["m/data.pkl", "m/data/0", "m/data/0"]))),
        ("bad-overlap", overlap),
        ("bad-deflated", deflated),
        ("bad-big-endian", zip(&[("m/data.pkl", &state), ("m/byteorder", b"big"), ("m/data/0", &storage)])),
        ("bad-empty-archive", zip(&[])),
    ]
}

/// The container before PyTorch 1.6.
pub(super) fn old_files() -> Seeds {
    let old_storage = |pickle: Pickle, key: &str, elements: i64| {
        pickle
            .raw(b"(")
            .text("storage")
            .global("torch", "FloatStorage")
            .text(key)
            .text("cpu")
            .int(elements)
            .raw(b"NtQ")
    };
    let tensor = |pickle: Pickle, key: &str, offset: i64, size: &[i64], stride: &[i64]| {
        let call = pickle.global("torch._utils", "_rebuild_tensor_v2").raw(b"(");
        old_storage(call, key, 6).int(offset).ints(size).ints(stride).raw(b"\x89NtR")
    };
    let two = tensor(pickle().raw(b"}(").text("w"), "a", 0, &[2, 3], &[3, 1]).text("t");
    let two = tensor(two, "a", 0, &[3, 2], &[1, 3]).text("b");
    let two = tensor(two, "b", 4, &[2], &[1]).raw(b"u.").0;
    let (values, more) = ([0.5; 6], [0.25; 6]);
    let good = old_container(&two, &[("a", &values), ("b", &more)]);
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".len();
    let mut version = good.clone();
    version[magic + 3] = 0xea;
    let place = good.windows(13).position(|part| part == b"little_endian").unwrap();
    let mut big = good.clone();
    big[place + 13] = 0x89;
    vec![
        ("good-file", good.clone()),
        ("good-empty", old_container(b"\x80\x02}.", &[])),
        ("bad-cut", good[..good.len() - 1].to_vec()),
        ("bad-magic", good[magic..].to_vec()),
        ("bad-version", version),
        ("bad-big-endian", big),
        ("bad-unknown-storage", old_container(&two, &[("a", &values), ("c", &more)])),
        ("bad-storage-twice", old_container(&two, &[("a", &values), ("a", &values)])),
        ("bad-count", old_container(&two, &[("a", &values), ("b", &more[..5])])),
        ("bad-zip-in-disguise", [b"\x80\x02".to_vec(), container(&two, &[])].concat()),
    ]
}

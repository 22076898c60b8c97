//! Files as `torch.save` writes them, put together by hand for the tests.

use std::path::PathBuf;

use tempfile::TempDir;

#[derive(Debug, Clone)]
pub(crate) struct Pickle(pub Vec<u8>);

impl Pickle {
    /// One of protocol 2.
    pub fn new() -> Self {
        Pickle(vec![0x80, 2])
    }

    /// Adds bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    /// An integer of 64 bits (LONG1).
    pub fn int(self, number: i64) -> Self {
        self.raw(&[0x8a, 8]).raw(&number.to_le_bytes())
    }

    pub fn ints(self, numbers: &[i64]) -> Self {
        let marked = self.raw(b"(");
        numbers.iter().fold(marked, |pickle, &number| pickle.int(number)).raw(b"t")
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    /// A storage of the zip container.
    pub fn storage(self, class: &str, key: &str, elements: i64) -> Self {
        self.raw(b"(").text("storage").global("torch", class).text(key).text("cpu").int(elements).raw(b"tQ")
    }

    /// A tensor over a storage.
    pub fn tensor(self, view: &View) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage(view.class, &view.key, view.elements)
            .int(view.offset)
            .ints(&view.size)
            .ints(&view.stride)
            .raw(b"\x89")
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    /// A dictionary of tensors, and the end.
    pub fn state_dict(views: &[(&str, View)]) -> Vec<u8> {
        let dict = Pickle::new().raw(b"}(");
        views.iter().fold(dict, |pickle, (name, view)| pickle.text(name).tensor(view)).raw(b"u.").0
    }
}

/// A tensor as the pickle describes it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub class: &'static str,
    pub key: String,
    pub elements: i64,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

impl View {
    /// A contiguous f32 tensor that is all of storage `key`.
    pub fn whole(key: &str, size: &[i64]) -> Self {
        let stride = (0..size.len()).map(|axis| size[axis + 1..].iter().product()).collect();
        View {
            class: "FloatStorage",
            key: key.to_owned(),
            elements: size.iter().product(),
            offset: 0,
            size: size.to_vec(),
            stride,
        }
    }

    /// Another view of the same storage.
    pub fn at(mut self, offset: i64, size: &[i64], stride: &[i64]) -> Self {
        (self.offset, self.size, self.stride) = (offset, size.to_vec(), stride.to_vec());
        self
    }
}

/// An archive of stored members, with sizes behind the data and in zip64 fields, as PyTorch writes large ones.
pub(crate) fn zip64(members: &[(&str, &[u8])]) -> Vec<u8> {
    archive(members, true)
}

/// An archive of stored members.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    archive(members, false)
}

fn archive(members: &[(&str, &[u8])], wide: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let flags: u16 = if wide { 1 << 3 } else { 0 };
    for (name, data) in members {
        let (start, size) = (out.len() as u64, data.len() as u64);
        let local_size = if wide { 0 } else { size as u32 };
        out.extend(b"PK\x03\x04\x14\x00");
        out.extend(flags.to_le_bytes());
        out.extend([0; 10]); // method, time, checksum
        out.extend(local_size.to_le_bytes());
        out.extend(local_size.to_le_bytes());
        out.extend((name.len() as u16).to_le_bytes());
        out.extend([0; 2]);
        out.extend(name.as_bytes());
        out.extend(*data);
        if wide {
            out.extend(b"PK\x07\x08\0\0\0\0");
            out.extend(size.to_le_bytes());
            out.extend(size.to_le_bytes());
        }
        let (narrow_size, narrow_start) =
            if wide { (u32::MAX, u32::MAX) } else { (size as u32, start as u32) };
        directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
        directory.extend(flags.to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(narrow_size.to_le_bytes());
        directory.extend(narrow_size.to_le_bytes());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend((if wide { 28u16 + 5 } else { 0 }).to_le_bytes());
        directory.extend([0; 10]); // comment, disk, attributes
        directory.extend(narrow_start.to_le_bytes());
        directory.extend(name.as_bytes());
        if wide {
            // Another field first, which readers pass over.
            directory.extend(b"FB\x01\x00Z");
            directory.extend([1, 0, 24, 0]);
            directory.extend(size.to_le_bytes());
            directory.extend(size.to_le_bytes());
            directory.extend(start.to_le_bytes());
        }
    }
    let start = out.len() as u64;
    let size = directory.len() as u64;
    let count = members.len() as u64;
    out.extend(directory);
    if wide {
        let record = out.len() as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44u64.to_le_bytes());
        out.extend([0x2d, 0, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend([count, count, size, start].map(u64::to_le_bytes).concat());
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend(record.to_le_bytes());
        out.extend([1, 0, 0, 0]);
    }
    let narrow = |value: u64, most: u64| if wide { most } else { value };
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([narrow(count, 0xffff) as u16, narrow(count, 0xffff) as u16].map(u16::to_le_bytes).concat());
    out.extend(
        [narrow(size, 0xffff_ffff) as u32, narrow(start, 0xffff_ffff) as u32].map(u32::to_le_bytes).concat(),
    );
    out.extend([0; 2]);
    out
}

/// A zip container with this pickle and these storages of f32.
pub(crate) fn container(pickle: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let storages: Vec<(String, Vec<u8>)> = storages
        .iter()
        .map(|(key, values)| (format!("m/data/{key}"), values.iter().flat_map(|x| x.to_le_bytes()).collect()))
        .collect();
    let mut members: Vec<(&str, &[u8])> = vec![("m/data.pkl", pickle), ("m/byteorder", b"little")];
    members.extend(storages.iter().map(|(name, data)| (name.as_str(), data.as_slice())));
    zip(&members)
}

/// The old container with this pickle and these storages of f32.
pub(crate) fn old_container(pickle: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    out.extend(b"\x80\x02M\xe9\x03.");
    out.extend(Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s.").0);
    out.extend(pickle);
    let keys = storages.iter().fold(Pickle::new().raw(b"]("), |keys, (key, _)| keys.text(key));
    out.extend(keys.raw(b"e.").0);
    for (_, values) in storages {
        out.extend((values.len() as u64).to_le_bytes());
        out.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    }
    out
}

/// A file of whole f32 tensors `(name, shape, values)`.
pub(crate) fn file_of(tensors: &[(&str, &[i64], Vec<f32>)]) -> Vec<u8> {
    let keys: Vec<String> = (0..tensors.len()).map(|number| number.to_string()).collect();
    let views: Vec<(&str, View)> =
        tensors.iter().zip(&keys).map(|((name, size, _), key)| (*name, View::whole(key, size))).collect();
    let storages: Vec<(&str, &[f32])> =
        tensors.iter().zip(&keys).map(|((_, _, values), key)| (key.as_str(), values.as_slice())).collect();
    container(&Pickle::state_dict(&views), &storages)
}

/// Writes bytes to a file of its own folder.
pub(crate) fn written(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

//! What an unpickled stream is made of: plain data, and the descriptions of storages and tensors.
//!
//! Objects live in one list and refer to each other by number. Nothing owns its parts, so a structure nested
//! without end, or one that holds itself, can neither be dropped nor walked by a recursion that exhausts the stack.

use crate::weights::Dtype;

/// A small value, or the number of an [`Object`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// None, a float, or something else that no tensor needs.
    Plain,
    /// True or false.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// The number of an object in [`Objects`].
    Object(u32),
}

/// A thing that values refer to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    /// A string of Python's.
    Text(Box<str>),
    /// An integer of 65 to 128 bits; only the old format's magic number is so long.
    Long(i128),
    /// A sequence that does not change.
    Tuple(Box<[Value]>),
    /// A sequence that grows.
    List(Vec<Value>),
    /// Keys and values in the order of the stream; a key that comes twice is there twice.
    Dict(Vec<(Value, Value)>),
    /// A constructor of the allow-list.
    Global(Global),
    /// A storage, named and not yet looked at.
    Storage(Box<StorageRef>),
    /// A view of a storage.
    Tensor(Box<TensorRef>),
}

/// The constructors that tensors need; nothing else can be named in a file. See [`Global::find`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Size,
    Device,
    Parameter,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    /// A storage class; `None` where tensors bring the type themselves.
    Storage(Option<Dtype>),
    Dtype(Dtype),
}

/// A storage as the pickle names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StorageRef {
    /// Its name among the file's storages, a text.
    pub key: Value,
    /// The type of its elements; `None` for untyped bytes.
    pub dtype: Option<Dtype>,
    /// Number of elements.
    pub elements: u64,
    /// Elements skipped at the start, for views of storages in files before PyTorch 0.4.
    pub view: u64,
}

/// A tensor as the pickle describes it: the values it names, so that a description stays small however often a
/// file repeats it. They are checked when the tensor has a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TensorRef {
    pub storage: StorageRef,
    pub dtype: Dtype,
    /// First element, counted from the start of the storage.
    pub offset: Value,
    /// Elements along each axis.
    pub size: Value,
    /// Elements from one index to the next along each axis.
    pub stride: Value,
}

/// PyTorch's classes of storages, by the type of their elements.
pub(super) const STORAGES: [(&str, Dtype); 10] = [
    ("DoubleStorage", Dtype::F64),
    ("FloatStorage", Dtype::F32),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::BF16),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::I32),
    ("ShortStorage", Dtype::I16),
    ("CharStorage", Dtype::I8),
    ("ByteStorage", Dtype::U8),
    ("BoolStorage", Dtype::Bool),
];

impl Global {
    /// The constructor called `name` in `module`; `None` for everything that tensors do not need.
    ///
    /// Sources: `torch/_utils.py`, `torch/serialization.py`, `torch/storage.py`, and the storage classes of
    /// `torch/__init__.py`.
    pub(super) fn find(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch", "Size") => Global::Size,
            ("torch", "device") => Global::Device,
            ("torch.nn.parameter" | "torch.nn", "Parameter") => Global::Parameter,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Global::RebuildParameter
            }
            ("torch.storage" | "torch", "UntypedStorage" | "TypedStorage" | "_UntypedStorage")
            | ("torch.storage", "_TypedStorage" | "_LegacyStorage") => Global::Storage(None),
            ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") => {
                let (_, dtype) = STORAGES.iter().find(|(name, _)| *name == storage)?;
                Global::Storage(Some(*dtype))
            }
            ("torch", dtype) => Global::Dtype(match dtype {
                "float64" | "double" => Dtype::F64,
                "float32" | "float" => Dtype::F32,
                "float16" | "half" => Dtype::F16,
                "bfloat16" => Dtype::BF16,
                "int64" | "long" => Dtype::I64,
                "int32" | "int" => Dtype::I32,
                "int16" | "short" => Dtype::I16,
                "int8" => Dtype::I8,
                "uint64" => Dtype::U64,
                "uint32" => Dtype::U32,
                "uint16" => Dtype::U16,
                "uint8" => Dtype::U8,
                "bool" => Dtype::Bool,
                _ => return None,
            }),
            _ => return None,
        })
    }

    /// Whether `name` in `module` is a harmless type of numbers that is not read here: an unsupported file rather
    /// than a hostile one.
    pub(super) fn is_other_type(module: &str, name: &str) -> bool {
        const STORAGES: [&str; 7] =
            ["QInt8", "QUInt8", "QInt32", "QUInt4x2", "QUInt2x4", "ComplexFloat", "ComplexDouble"];
        const DTYPES: [&str; 9] = [
            "qint8",
            "quint8",
            "qint32",
            "complex64",
            "complex128",
            "float8_e4m3fn",
            "float8_e5m2",
            "float8_e4m3fnuz",
            "float8_e5m2fnuz",
        ];
        let storage = name.strip_suffix("Storage").is_some_and(|stem| STORAGES.contains(&stem));
        match module {
            "torch" => storage || DTYPES.contains(&name),
            "torch.cuda" => storage,
            _ => false,
        }
    }
}

/// All objects of one stream.
#[derive(Debug, Default)]
pub(super) struct Objects(pub(super) Vec<Object>);

impl Objects {
    pub(super) fn get(&self, value: Value) -> Option<&Object> {
        match value {
            Value::Object(number) => self.0.get(number as usize),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, value: Value) -> Option<&mut Object> {
        match value {
            Value::Object(number) => self.0.get_mut(number as usize),
            _ => None,
        }
    }

    pub(super) fn text(&self, value: Value) -> Option<&str> {
        match self.get(value) {
            Some(Object::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn integer(&self, value: Value) -> Option<i128> {
        match (value, self.get(value)) {
            (Value::Int(number), _) => Some(i128::from(number)),
            (_, Some(Object::Long(number))) => Some(*number),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(super) fn items(&self, value: Value) -> Option<&[Value]> {
        match self.get(value)? {
            Object::Tuple(items) => Some(items),
            Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// What a value is, as a phrase for messages.
    pub(super) fn describe(&self, value: Value) -> &'static str {
        match (value, self.get(value)) {
            (Value::Plain, _) => "a value of another kind",
            (Value::Bool(_), _) => "a truth value",
            (Value::Int(_), _) | (_, Some(Object::Long(_))) => "an integer",
            (_, Some(Object::Text(_))) => "a string",
            (_, Some(Object::Tuple(_))) => "a tuple",
            (_, Some(Object::List(_))) => "a list",
            (_, Some(Object::Dict(_))) => "a dictionary",
            (_, Some(Object::Global(_))) => "a class or function",
            (_, Some(Object::Storage(_))) => "a storage",
            (_, Some(Object::Tensor(_))) => "a tensor",
            (Value::Object(_), None) => "nothing",
        }
    }
}

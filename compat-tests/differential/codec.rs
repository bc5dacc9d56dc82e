//! A small jute encoder and decoder, written on its own so that it shares no mistake with the
//! product's codec. Strings stay bytes: several probes send invalid UTF-8 on purpose.

/// A jute `ustring` or `buffer`: null or bytes.
pub type Bytes = Option<Vec<u8>>;

/// Appends jute primitives, all big-endian.
#[derive(Default)]
pub struct Enc(pub Vec<u8>);

impl Enc {
    pub fn bool(&mut self, v: bool) {
        self.0.push(u8::from(v));
    }

    pub fn i32(&mut self, v: i32) {
        self.0.extend_from_slice(&v.to_be_bytes());
    }

    pub fn i64(&mut self, v: i64) {
        self.0.extend_from_slice(&v.to_be_bytes());
    }

    /// A string or buffer; `None` is length -1.
    pub fn bytes(&mut self, v: &Bytes) {
        match v {
            None => self.i32(-1),
            Some(b) => {
                self.i32(len_i32(b.len()));
                self.0.extend_from_slice(b);
            }
        }
    }

    /// A vector; `None` is count -1.
    pub fn vec<T>(&mut self, v: Option<&[T]>, mut each: impl FnMut(&mut Self, &T)) {
        match v {
            None => self.i32(-1),
            Some(items) => {
                self.i32(len_i32(items.len()));
                items.iter().for_each(|item| each(self, item));
            }
        }
    }
}

fn len_i32(len: usize) -> i32 {
    i32::try_from(len).expect("probe shorter than 2 GiB")
}

/// Puts the four-byte length in front of a payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = len_i32(payload.len()).to_be_bytes().to_vec();
    out.extend_from_slice(payload);
    out
}

/// Why a reply could not be decoded: the name of the field that was being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short(pub &'static str);

/// Reads jute primitives from a reply. Every method fails with the name of the missing field.
pub struct Dec<'a> {
    rest: &'a [u8],
}

impl<'a> Dec<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Short> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Short(what))?;
        self.rest = tail;
        Ok(head)
    }

    pub fn bool(&mut self, what: &'static str) -> Result<u8, Short> {
        Ok(self.take(1, what)?[0])
    }

    pub fn i32(&mut self, what: &'static str) -> Result<i32, Short> {
        let b = self.take(4, what)?;
        Ok(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub fn i64(&mut self, what: &'static str) -> Result<i64, Short> {
        let hi = self.i32(what)?;
        let lo = self.i32(what)?;
        Ok((i64::from(hi) << 32) | i64::from(lo.cast_unsigned()))
    }

    pub fn bytes(&mut self, what: &'static str) -> Result<Bytes, Short> {
        match self.i32(what)? {
            -1 => Ok(None),
            n => {
                let n = usize::try_from(n).map_err(|_| Short(what))?;
                Ok(Some(self.take(n, what)?.to_vec()))
            }
        }
    }

    pub fn vec<T>(
        &mut self,
        what: &'static str,
        mut each: impl FnMut(&mut Self) -> Result<T, Short>,
    ) -> Result<Option<Vec<T>>, Short> {
        let n = self.i32(what)?;
        if n < 0 {
            return Ok(None);
        }
        // Each element is at least one byte, so a larger count is a broken reply.
        if usize::try_from(n).map_err(|_| Short(what))? > self.rest.len() {
            return Err(Short(what));
        }
        (0..n)
            .map(|_| each(self))
            .collect::<Result<Vec<T>, Short>>()
            .map(Some)
    }
}

/// The session password Apache derives from a session id (`ZooKeeperServer.generatePasswd`):
/// 16 bytes of `java.util.Random` seeded with `id ^ 0xB3415C00`.
pub fn session_password(session_id: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (session_id.cast_unsigned() ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut out = [0_u8; 16];
    for word in out.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        word.copy_from_slice(&(state >> 16).to_le_bytes()[..4]);
    }
    out
}

/// Shows a string or buffer on one line: text where it is text, escapes elsewhere, long values cut.
pub fn show(v: &Bytes) -> String {
    let Some(bytes) = v else {
        return "null".to_owned();
    };
    let mut out = String::from("\"");
    for c in String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).chars() {
        out.extend(c.escape_debug());
    }
    out.push('"');
    if std::str::from_utf8(bytes).is_err() {
        out.push_str(&format!(" (hex {})", hex(&bytes[..bytes.len().min(120)])));
    }
    if bytes.len() > 120 {
        out.push_str(&format!("... {} bytes", bytes.len()));
    }
    out
}

/// Lower-case hex of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Checks of this file, run by `selftest` (a target with its own `main` has no `#[test]`).
pub fn check() {
    assert_eq!(
        hex(&session_password(1)),
        "054cc74a37327db215e702e20c73f005"
    );
    assert_eq!(
        hex(&session_password(0x1000_abcd_ef01_2345)),
        "f7957c6bf47902042961099bf0189b16"
    );
    let mut enc = Enc::default();
    enc.i32(-2);
    enc.i64(i64::MIN + 7);
    enc.bool(true);
    enc.bytes(&Some(b"/s".to_vec()));
    enc.bytes(&None);
    enc.vec(Some(&[1, 2]), |e, v| e.i32(*v));
    let framed = frame(&enc.0);
    let mut dec = Dec::new(&framed);
    assert_eq!(dec.i32("len"), Ok(4 + 8 + 1 + 6 + 4 + 12));
    assert_eq!(dec.i32("i32"), Ok(-2));
    assert_eq!(dec.i64("i64"), Ok(i64::MIN + 7));
    assert_eq!(dec.bool("bool"), Ok(1));
    assert_eq!(dec.bytes("str"), Ok(Some(b"/s".to_vec())));
    assert_eq!(dec.bytes("null"), Ok(None));
    assert_eq!(dec.vec("vec", |d| d.i32("element")), Ok(Some(vec![1, 2])));
    assert_eq!(dec.i32("end"), Err(Short("end")));
}

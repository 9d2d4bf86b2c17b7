//! The octets that are decoded, the same for every program, and the texts and numbers in them.

/// The same file that the C program includes.
const HEADER: &str = include_str!("inputs.h");

/// Octets of a buffer of frames, as a socket's reader would fill it.
pub const BUFFER: usize = 64 * 1024;

/// The message's `message-id`.
pub const MESSAGE_ID: &str = "message-000001";
/// The message's `to`, and the address of the attach's target.
pub const TO: &str = "/devices/device-1/messages/devicebound";
/// The message's `correlation-id`.
pub const CORRELATION_ID: &str = "correlation-1";
/// The message's `content-type`.
pub const CONTENT_TYPE: &str = "application/json";
/// The message's delivery-tag.
pub const DELIVERY_TAG: [u8; 4] = [0, 0, 0, 7];
/// Octets of the message's data.
pub const DATA: usize = 1024;
/// The attach's `name`.
pub const LINK: &str = "link-000001";
/// The address of the attach's source.
pub const SOURCE: &str = "client-1";

/// The transfer frame with its message.
///
/// # Panics
///
/// As the others here: if `inputs.h` is not as expected.
pub fn transfer() -> Vec<u8> {
    let mut frame = octets("FRAME_HEADER");
    frame.extend(octets("TRANSFER"));
    frame.extend(octets("MESSAGE"));
    frame.resize(frame.len() + DATA, b'x');
    frame
}

/// The flow frame.
pub fn flow() -> Vec<u8> {
    octets("FLOW")
}

/// The disposition frame.
pub fn disposition() -> Vec<u8> {
    octets("DISPOSITION")
}

/// The attach frame.
pub fn attach() -> Vec<u8> {
    octets("ATTACH")
}

/// As many buffers of [`BUFFER`] octets as hold `count` copies of a frame, made by `make`.
pub fn buffers<B>(frame: &[u8], count: usize, make: impl Fn(&[u8]) -> B) -> Vec<B> {
    let each = BUFFER / frame.len();
    (0..count.div_ceil(each)).map(|index| make(&frame.repeat(each.min(count - index * each)))).collect()
}

/// The octets of a definition: the digits in the quoted strings after its name, up to an empty line.
fn octets(name: &str) -> Vec<u8> {
    let definition = HEADER
        .split("#define ")
        .filter_map(|part| part.strip_prefix(name))
        .find(|rest| rest.starts_with(' '))
        .expect("a definition of this name");
    let definition = definition.split("\n\n").next().unwrap_or_default();
    let digits: String = definition.split('"').skip(1).step_by(2).collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_as_long_as_it_says() {
        for frame in [transfer(), flow(), disposition(), attach()] {
            let size: [u8; 4] = frame[..4].try_into().unwrap();
            assert_eq!(u32::from_be_bytes(size) as usize, frame.len());
        }
    }

    #[test]
    fn buffers_hold_as_many_frames_as_are_asked_for() {
        let frame = transfer();
        let buffers = buffers(&frame, 1000, <[u8]>::len);
        assert!(buffers.iter().all(|length| *length <= BUFFER));
        assert_eq!(buffers.iter().sum::<usize>(), 1000 * frame.len());
    }
}

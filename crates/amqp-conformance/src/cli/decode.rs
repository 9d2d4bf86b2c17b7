//! `amqp-conformance decode`.

use super::{Exit, Failure, args::DecodeArgs, output};
use crate::decode::{DecodeOptions, Form, decode_all};
use std::{
    fs::File,
    io::{self, Read as _},
};

/// The largest input, in octets.
const MAX_INPUT: u64 = 1024 * 1024 * 1024;

pub(super) fn run(args: &DecodeArgs) -> Result<Exit, Failure> {
    let mut input = Vec::new();
    let read = match &args.file {
        Some(path) => {
            let file = File::open(path).map_err(|error| output::in_file(path, &error))?;
            file.take(MAX_INPUT).read_to_end(&mut input).map_err(|error| output::in_file(path, &error))
        }
        None => io::stdin().lock().take(MAX_INPUT).read_to_end(&mut input).map_err(Failure::usage),
    };
    if u64::try_from(read?).unwrap_or(u64::MAX) >= MAX_INPUT {
        return Err(Failure::usage("the input is larger than 1 GiB"));
    }
    let form = args.form.map_or_else(|| Form::of(&input), Form::from);
    let options = DecodeOptions { port: args.port, shows_secrets: args.show_secrets };
    let decoded = decode_all(&input, form, &options).map_err(|error| output::because(&error))?;
    output::show(&decoded.text)?;
    if decoded.unfinished > 0 {
        eprintln!("amqp-conformance: the input ends within a frame, after {} of its octets", decoded.unfinished);
        return Ok(Exit::Failed);
    }
    Ok(Exit::AsExpected)
}

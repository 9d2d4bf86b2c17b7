//! `amqp-conformance report`.

use super::{
    Exit, Failure,
    args::{MergeArgs, ReportCommand},
    files, output,
};
use crate::report::{Html, Markdown, Report};
use std::collections::BTreeSet;

pub(super) fn run(command: &ReportCommand) -> Result<Exit, Failure> {
    let ReportCommand::Merge(args) = command;
    merge(args)
}

fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let mut reports = args.reports.iter().map(|path| output::read(path)).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    for Report { peer, .. } in &reports {
        if !names.insert((peer.role, peer.name.as_str())) {
            output::warn(&format!(
                "two reports are of {:?}: --peer-name tells them apart when they are made",
                peer.title()
            ));
        }
    }
    if args.withhold {
        Report::withhold_all(&mut reports);
        // A report that others have made may have any number in it.
        let withheld = reports.iter().fold(0usize, |sum, report| sum.saturating_add(report.withheld));
        eprintln!("{withheld} results withheld");
    }
    if let Some(path) = &args.markdown {
        files::write(path, Markdown::new(&reports).to_string().as_bytes())?;
    }
    match &args.html {
        Some(path) => files::write(path, Html::new(&reports).to_string().as_bytes())?,
        None if args.markdown.is_some() => {}
        None => output::show(&Html::new(&reports).to_string())?,
    }
    Ok(Exit::AsExpected)
}

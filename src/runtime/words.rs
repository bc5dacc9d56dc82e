//! Four-letter words of the client port.

use crate::admin::words::{Whitelist, execute, find};
use crate::base::ConnId;
use crate::conn::{FourLetterWords, WordReply};

use super::doors::ViewCell;

/// Looks words up in the table and runs them over the view, which is there once the server is.
pub struct Words {
    /// Which may run.
    pub whitelist: Whitelist,
    /// What they look at.
    pub view: ViewCell,
}

impl FourLetterWords for Words {
    fn run(&self, word: [u8; 4], behind: &[u8], conn: ConnId) -> Option<WordReply> {
        let word = find(i32::from_be_bytes(word))?;
        let argument = behind.first_chunk::<8>().map(|n| i64::from_be_bytes(*n));
        if word.takes_argument() && argument.is_none() && self.whitelist.allows(word) {
            return Some(WordReply::Needs(8));
        }
        let view = self.view.read().clone()?;
        if let Some(info) = view.edge.registry.get(conn) {
            tracing::info!(
                target: "o.a.z.s.c.FourLetterCommands",
                "Processing {} command from /{}", word.name, info.peer
            );
        }
        let text = execute(word, argument, &self.whitelist, &*view);
        Some(WordReply::Text(text.into_bytes()))
    }
}

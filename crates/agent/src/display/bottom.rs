//! The bottom of standard error: a few lines that are drawn over in place, and lines that stay, which scroll up above them.
//!
//! There is one standard error, so there is one bottom, whoever prints.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::live::Size;
use super::text;

static BOTTOM: Mutex<Bottom> = Mutex::new(Bottom { drawn: Vec::new(), columns: 0 });

/// Prints a line that stays, above the lines that live.
pub(crate) fn print(line: &str) {
    write(|bottom| bottom.print(line, size().columns));
}

/// Draws the lines that live over the ones that were drawn last; none takes them away. `lines` may not make lines that are
/// wider than the terminal.
pub(super) fn draw(lines: impl FnOnce(Size) -> Vec<String>) {
    let size = size();
    write(|bottom| bottom.draw(lines(size), size.columns));
}

/// The size of the terminal; a usual one when it does not say.
fn size() -> Size {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    let (columns, rows) = size.map_or((80, 24), |(columns, rows)| (columns.0.into(), rows.0.into()));
    Size { columns, rows }
}

fn write(frame: impl FnOnce(&mut Bottom) -> String) {
    let mut bottom = BOTTOM.lock().unwrap_or_else(PoisonError::into_inner);
    let frame = frame(&mut bottom);
    // In one piece, so that no half of it is ever seen. A terminal that is gone is the reader's loss.
    let _ = std::io::stderr().write_all(frame.as_bytes());
}

/// What stands at the bottom. The cursor waits at the start of the last line.
struct Bottom {
    drawn: Vec<String>,
    columns: usize,
}

/// Off while lines are drawn: a line that the terminal takes for wider than we do must not become two.
const NO_WRAP: &str = "\u{1b}[?7l";
const WRAP: &str = "\u{1b}[?7h";
const CLEAR_TO_LINE_END: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

impl Bottom {
    fn print(&mut self, line: &str, columns: usize) -> String {
        if self.drawn.is_empty() {
            return format!("{line}\n");
        }
        let top = self.to_top(columns);
        if self.columns != columns {
            // They do not fit any more, and come back with the next frame.
            self.drawn.clear();
        }
        // Terminals end a line where we say so, whatever became of their settings.
        let line = line.replace('\n', "\r\n");
        format!("{top}{CLEAR_BELOW}{line}\r\n{}", lines(&self.drawn))
    }

    fn draw(&mut self, new: Vec<String>, columns: usize) -> String {
        if self.drawn == new && (self.columns == columns || new.is_empty()) {
            return String::new();
        }
        // Where lines were folded, terminals remember it of the rows until they are cleared.
        let unfold = if self.columns == columns { "" } else { CLEAR_BELOW };
        let frame = format!("{}{unfold}{}", self.to_top(columns), lines(&new));
        (self.drawn, self.columns) = (new, columns);
        frame
    }

    /// To the start of the first line that was drawn. Where the terminal has become narrower, it has folded the lines.
    fn to_top(&self, columns: usize) -> String {
        let Some((_, above)) = self.drawn.split_last() else { return String::new() };
        let rows: usize = above.iter().map(|line| text::width(line).div_ceil(columns.max(1)).max(1)).sum();
        if rows == 0 { "\r".to_owned() } else { format!("\r\u{1b}[{rows}A") }
    }
}

fn lines(lines: &[String]) -> String {
    if lines.is_empty() {
        return CLEAR_BELOW.to_owned();
    }
    let text: Vec<String> = lines.iter().map(|line| format!("{line}{CLEAR_TO_LINE_END}")).collect();
    format!("{NO_WRAP}{}{CLEAR_BELOW}{WRAP}\r", text.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal shows, without empty lines at the end.
    fn shown(terminal: &avt::Terminal) -> Vec<String> {
        let mut lines: Vec<String> =
            terminal.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    fn block(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn finished_lines_scroll_above_a_block_that_is_drawn_in_place_and_goes_away() {
        let mut terminal = avt::Terminal::new(20, 5).unwrap();
        let mut bottom = Bottom { drawn: Vec::new(), columns: 0 };
        let mut feed = |frame: String| {
            // As the terminal's line discipline does.
            terminal.feed(frame.replace("\r\n", "\n").replace('\n', "\r\n").as_str());
            shown(&terminal)
        };
        assert_eq!(feed(bottom.print("one", 20)), ["one"]);
        assert_eq!(feed(bottom.draw(block(&["a", "b", "c"]), 20)), ["one", "a", "b", "c"]);
        assert_eq!(
            feed(bottom.print("two, which takes two lines", 20)),
            ["two, which takes two", " lines", "a", "b", "c"]
        );
        assert_eq!(feed(bottom.draw(block(&["d"]), 20)), ["two, which takes two", " lines", "d"]);
        assert_eq!(feed(bottom.draw(block(&["d", "wide 数据库数据库数据库"]), 20))[2..], ["d", "wide 数据库数据库"]);
        assert_eq!(feed(bottom.draw(Vec::new(), 20)), ["two, which takes two", " lines"]);
        assert_eq!(feed(bottom.print("three", 20)), ["two, which takes two", " lines", "three"]);
    }

    #[test]
    fn a_frame_that_says_the_same_writes_nothing() {
        let mut bottom = Bottom { drawn: Vec::new(), columns: 0 };
        assert_ne!(bottom.draw(block(&["a"]), 20), "");
        assert_eq!(bottom.draw(block(&["a"]), 20), "");
    }

    #[test]
    fn a_narrower_or_wider_terminal_keeps_every_finished_line_and_no_trace_of_the_block() {
        for (sizes, way) in [([9, 20], "draw"), ([9, 20], "print"), ([40, 9], "draw"), ([40, 9], "print")] {
            let mut terminal = avt::Terminal::with_scrollback(20, 12, None).unwrap();
            let mut bottom = Bottom { drawn: Vec::new(), columns: 0 };
            let mut expected = Vec::new();
            for number in 0..20 {
                expected.push(format!("line {number}"));
                terminal.feed(format!("line {number}\r\n").as_str());
            }
            terminal.feed(bottom.draw(block(&["0123456789012345678", "abcdefghij", "end of it all"]), 20).as_str());
            for columns in sizes {
                terminal.resize(columns, 12);
                if way == "print" {
                    expected.push("more".to_owned());
                    terminal.feed(bottom.print("more", columns).as_str());
                }
                terminal.feed(bottom.draw(block(&["x".repeat(columns - 1).as_str(), "y"]), columns).as_str());
            }
            expected.extend(block(&["x".repeat(sizes[1] - 1).as_str(), "y"]));
            let mut text = terminal.screen().text();
            while text.last().is_some_and(String::is_empty) {
                text.pop();
            }
            assert_eq!(text, expected, "{sizes:?} {way}");
        }
    }
}

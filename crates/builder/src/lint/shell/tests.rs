use super::{Shell, read};

/// `words | …` for each command, with what is known of it.
fn shown(shell: &Shell) -> Vec<String> {
    let mut commands: Vec<_> = shell.commands.iter().collect();
    commands.sort_by_key(|command| command.span.start);
    commands
        .iter()
        .map(|command| {
            let words = command.assignments.iter().chain(&command.words).map(|word| word.text.as_str());
            let mut text = words.collect::<Vec<_>>().join(" ");
            for (is, what) in [
                (command.swallowed, "swallowed"),
                (command.reads.is_some(), "reads"),
                (command.input, "input"),
                (command.in_function, "function"),
            ] {
                if is {
                    text.push_str(&format!(" [{what}]"));
                }
            }
            text
        })
        .collect()
}

#[test]
fn commands_are_found_wherever_they_stand() {
    for (text, expected) in [
        ("a b; c", &["a b [swallowed]", "c"][..]),
        ("# a\n\nb # c\n", &["b"]),
        ("a 'b # c' \"d; e\" f\\ g\n", &["a b # c d; e f g"]),
        ("a \\\n  b\n", &["a b"]),
        ("a && b || c\nd", &["a", "b", "c [swallowed]", "d"]),
        ("a | b |& c", &["a", "b [reads]", "c [reads]"]),
        ("! a\nb", &["a", "b"]),
        ("X=1 Y='2 3' a; Z=4", &["X=1 Y=2 3 a [swallowed]", "Z=4"]),
        ("X=$(a \"$(b 'c)')\" | d)", &["X=$(a \"$(b 'c)')\" | d)", "a $(b 'c)')", "b c)", "d [reads]"]),
        ("echo `a \\`b\\``", &["echo `a \\`b\\``", "a `b`"]),
        ("if a; then b; else c; fi", &["a", "b", "c"]),
        ("if a; then b; fi\nc", &["a", "b [swallowed]", "c"]),
        ("for x in 1 2; do a $x; done", &["a $x [swallowed]"]),
        ("while read -r x; do a; done < f", &["read -r x", "a [swallowed]"]),
        ("until a; do sleep 1; done; b", &["a", "sleep 1 [swallowed]", "b"]),
        ("case $x in a|b) c ;; *) d; e ;; esac; f", &["c [swallowed]", "d [swallowed]", "e [swallowed]", "f"]),
        ("x=$(case $y in a) b ;; (c) d ;; esac)", &["x=$(case $y in a) b ;; (c) d ;; esac)", "b", "d"]),
        ("f() {\n a\n b\n}\nf", &["a [swallowed] [function]", "b [function]", "f"]),
        ("function f { a; }", &["a [function]"]),
        ("(a; b)\nc", &["a [swallowed]", "b [swallowed]", "c"]),
        ("{ a; } >x 2>&1", &["a"]),
        ("[[ $a && ( $b < c ) ]] && d", &["[[ $a $b c", "d"]),
        ("((x = 1 << 2)); a", &["a"]),
        ("a=(b 'c d'\n e) ; f", &["a=(b 'c d'\n e) [swallowed]", "f"]),
        ("echo $((1 + (2))) ${x:-$(a)} ${y%\"}\"}", &["echo $((1 + (2))) ${x:-$(a)} ${y%\"}\"}", "a"]),
        ("cat <<EOF >x\na; b $(c)\nEOF\nd", &["cat [swallowed] [input]", "d"]),
        ("cat <<-'E O' | a\n\tb\n\tE O\nd", &["cat [input]", "a [swallowed] [reads]", "d"]),
        ("a <<<'b' ; c < <(d)", &["a [swallowed] [input]", "c [reads] [input]", "d"]),
        ("a 2>/dev/null 1>&2 b", &["a b"]),
        ("a\r\nb\r\n", &["a [swallowed]", "b"]),
        ("$'a\\'b' c", &["a'b c"]),
    ] {
        assert_eq!(shown(&read(text)), expected, "{text}");
    }
}

#[test]
fn a_job_holds_the_output_unless_both_outputs_go_elsewhere() {
    for (text, expected) in [
        ("a &", &[true][..]),
        ("a > x &", &[true]),
        ("a 2>&1 >x &", &[true]),
        ("a >x 2>&1 &", &[false]),
        ("a &>x & b >&y & c >>z 2>>z &", &[false, false, false]),
        ("a >&- 2>&- &", &[false]),
        ("(a; b) &", &[true]),
        ("(a &) >/dev/null 2>&1", &[false]),
        ("{ a; b; } >x 2>&1 &", &[false]),
        ("while :; do a; done >x 2>&1 &", &[false]),
        ("exec >x 2>&1\na &", &[false]),
        ("a && b", &[]),
        ("a &\nb &", &[true, true]),
    ] {
        let holds: Vec<bool> = read(text).jobs.iter().map(|job| job.holds_output).collect();
        assert_eq!(holds, expected, "{text}");
    }
}

#[test]
fn parameters_are_known_with_what_stands_in_for_them() {
    let shell = read("a $1 \"${2}\" ${3:-x} '$4' \\$5 ${#6} $# \"$@\" $x1\nf() { b $7; }\ng ${y:+$8}\n");
    let mut found: Vec<String> = shell
        .parameters
        .iter()
        .map(|one| {
            format!("{}{}{}", one.name, if one.has_default { "?" } else { "" }, if one.in_function { "()" } else { "" })
        })
        .collect();
    found.sort();
    assert_eq!(found, ["#", "#", "1", "2", "3?", "7()", "8", "@", "x1", "y?"]);
}

#[test]
fn a_loop_is_known_with_its_variables_and_where_their_values_come_from() {
    for (text, expected) in [
        ("for x in 1 $(a); do b; done", "x: 1 $(a)"),
        ("for x; do b; done", "x:"),
        ("for ((i = 0; i < 3; i++)); do b; done", ":"),
        ("a | while read -r x y; do b; done", "x y: |a"),
        ("a | b | while IFS= read -r x; do c; done", "x: |b"),
        ("while read x; do b; done < <(a | c)", "x: |c"),
        ("while read x; do b; done <<<\"$a\"", "x: $a"),
        ("while read x; do b; done <f >g", "x:"),
        ("until a; do b; done", ":"),
    ] {
        let shell = read(text);
        let turns = &shell.loops[0];
        let words = turns.words.iter().map(|word| word.text.clone());
        let reads = turns.reads.map(|index| format!("|{}", shell.commands[index].words[0].text));
        let from: Vec<String> = words.chain(reads).collect();
        assert_eq!(format!("{}: {}", turns.variables.join(" "), from.join(" ")).trim_end(), expected, "{text}");
    }
}

#[test]
fn every_beginning_of_a_script_is_read_to_its_end() {
    let text = "#!/bin/bash\nf() { case \"$1\" in a|'b c') x=`y \\`z\\`` ;; *) cat <<E | g $((1+(2))) ${a:-\"$(b)\"} &\nE\n;; esac; }\n\
                [[ a && (b) ]] || { (c; d=(1 '2') ) >é 2>&1; } \\\n && for i in 1; do $'é\\'' <(k) ; done\n";
    for end in 0..=text.len() {
        for start in [0, end / 2] {
            if let Some(part) = text.get(start..end) {
                read(part);
            }
        }
    }
    for deep in ["$(", "(", "{ ", "\"$(", "${x:-", "`", "if ", "f() ", "case x in a) ", "$((", "a=("] {
        read(&deep.repeat(5000));
    }
}

use super::*;

fn fields(all: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in all {
        fields.add(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn values(fields: &Fields, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    fields.each_value(name, &mut |value| {
        all.push(String::from_utf8(value.to_vec()).unwrap());
    });
    all
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write_to(&mut out);
    String::from_utf8(out).unwrap()
}

/// Fields over text as a codec would have read it.
fn read(text: &str) -> Fields {
    let mut fields = Fields::over(text.as_bytes().to_vec());
    let mut at = 0;
    for line in text.split_inclusive("\r\n") {
        let (name, value) = line.split_once(':').unwrap();
        let begin = at + name.len() + 1 + (value.len() - value.trim_start().len());
        let end = begin + value.trim().len();
        fields.note(
            Span::new(at, at + name.len()).unwrap(),
            Span::new(begin, end).unwrap(),
        );
        at += line.len();
    }
    fields
}

#[test]
fn what_was_read_is_written_as_it_came() {
    let text = "host: a\r\naccept: */*\r\nx-empty: \r\n";
    assert_eq!(written(&read(text)), text);
}

#[test]
fn odd_white_space_is_not_passed_on() {
    let all = read("a:1\r\nb: 2\r\nc:  3 \r\nd: 4\r\ne:\t5\r\nf:6\r\n");
    assert_eq!(
        written(&all),
        "a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: 6\r\n"
    );
}

#[test]
fn removed_fields_leave_no_trace_and_added_ones_come_last() {
    let mut all = read("a: 1\r\nhost: x\r\nb: 2\r\na: 3\r\nc: 4\r\n");
    all.remove("a");
    assert_eq!(written(&all), "host: x\r\nb: 2\r\nc: 4\r\n");
    all.remove("host");
    all.set("b", b"5");
    all.add(b"b", b"6");
    assert_eq!(written(&all), "c: 4\r\nb: 5\r\nb: 6\r\n");
    assert!(!all.has(Known::Host));
    assert_eq!(values(&all, "b"), ["5", "6"]);
}

#[test]
fn what_cannot_be_a_field_is_left_out() {
    let mut all = fields(&[("a", "1")]);
    all.set("a", b"x\r\nevil: 1");
    all.add(b"a b", b"1");
    all.add(b"", b"1");
    all.add(b"a", b"nul\0");
    all.add(b"Upper", b"1");
    assert_eq!(written(&all), "a: 1\r\n");
}

#[test]
fn known_names_are_found_by_their_bit_and_others_by_their_letters() {
    let all = fields(&[
        ("x-forwarded-port", "1"),
        ("forwarded", "for=a"),
        ("te", "trailers"),
        ("x-a", "2"),
    ]);
    assert_eq!(all.first(Known::Te), Some(&b"trailers"[..]));
    assert_eq!(all.first(Known::Host), None);
    assert_eq!(values(&all, "forwarded"), ["for=a"]);
    assert_eq!(values(&all, "x-forwarded-port"), ["1"]);
    assert_eq!(values(&all, "x-a"), ["2"]);
    assert_eq!(all.value("x-a"), Some(&b"2"[..]));
    assert_eq!(all.value("x-b"), None);
}

#[test]
fn sets_of_names_go_at_once() {
    let mut all = fields(&[("te", "a"), ("upgrade", "b"), ("accept", "c")]);
    all.remove_all(Names::HOP_BY_HOP);
    assert_eq!(written(&all), "accept: c\r\n");
    assert!(!all.may_have(Names::HOP_BY_HOP));
    all.retain(|_, name| name != b"accept");
    assert_eq!(written(&all), "");
}

#[test]
fn kept_text_is_no_field() {
    let mut all = fields(&[("a", "1")]);
    let target = all.keep(b"/new");
    all.add(b"b", b"2");
    assert_eq!(all.text_at(target), "/new");
    assert_eq!(written(&all), "a: 1\r\nb: 2\r\n");
}

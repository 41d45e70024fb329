//! Advice on words that look like words of the language but are not.
//!
//! Any word may be the name of a variable, so a word alone is never an error. Advice is added to an
//! existing error: a statement that cannot be parsed after such a word, or a variable that is never
//! set.

use super::token::Function;

/// Words that begin a statement or an expression.
const WORDS: [&str; 10] =
    ["abort", "delete", "else", "exists", "for", "get", "if", "put", "return", "scan"];

/// Returns the advice for a word that looks like a word of this or another language.
pub(super) fn on_word(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let functions = Function::ALL.into_iter().map(Function::name);
    if WORDS.into_iter().chain(functions).any(|known| known == lower) {
        return (word != lower).then(|| format!("'{lower}' is written in lower case"));
    }
    if let Some(advice) = of_other_languages(&lower) {
        return Some(advice.to_owned());
    }
    let known = WORDS.into_iter().find(|known| is_near(&lower, known))?;
    Some(format!("did you mean '{known}'?"))
}

/// Returns the advice for a word of another language: what to write instead.
fn of_other_languages(word: &str) -> Option<&'static str> {
    Some(match word {
        "set" | "insert" | "update" | "upsert" | "write" | "store" => {
            "a key gets a value by put \"key\" \"value\";"
        }
        "select" | "read" | "fetch" | "show" => "a key is read by get \"key\";",
        "del" | "remove" | "rm" | "unset" | "drop" => "a key is deleted by delete \"key\";",
        "let" | "var" | "const" | "local" => "a variable is set by name = value;",
        "print" | "echo" | "println" => "a program answers by return value;",
        "elif" | "elsif" | "elseif" => "write 'else if'",
        "while" | "foreach" | "loop" => {
            "the only loop is for key, value in scan \"prefix\" { ... }"
        }
        "begin" | "commit" | "transaction" | "multi" | "exec" => {
            "a program is one transaction, without a word for its begin or end"
        }
        "rollback" | "raise" | "throw" => "a program ends without effect by abort \"reason\";",
        "help" => "at the client's prompt, .help shows the commands",
        "exit" | "quit" | "bye" | "logout" => "at the client's prompt, .exit ends the session",
        _ => return None,
    })
}

/// Whether two words differ by one missing, additional or wrong letter, or by two adjacent letters
/// in the wrong order. Words of fewer than three letters would be near to too many others.
pub(super) fn is_near(word: &str, known: &str) -> bool {
    let (word, known) = (word.as_bytes(), known.as_bytes());
    if word == known || word.len().min(known.len()) < 3 {
        return false;
    }
    let begin = word.iter().zip(known).take_while(|(a, b)| a == b).count();
    let (word, known) = (&word[begin..], &known[begin..]);
    match (word, known) {
        ([_, word @ ..], [_, known @ ..]) if word == known => true,
        ([a, b, word @ ..], [c, d, known @ ..]) if (a, b) == (d, c) && word == known => true,
        ([_, rest @ ..], known) if rest == known => true,
        (word, [_, rest @ ..]) => word == rest,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_differ_in_one_place() {
        for (word, known) in
            [("retrun", "return"), ("retur", "return"), ("putt", "put"), ("gat", "get")]
        {
            assert!(is_near(word, known), "{word}");
        }
        for (word, known) in
            [("return", "return"), ("i", "if"), ("pot", "get"), ("gte_x", "get"), ("tup", "put")]
        {
            assert!(!is_near(word, known), "{word}");
        }
    }

    #[test]
    fn words_of_the_language_need_no_advice() {
        assert!(WORDS.into_iter().all(|word| on_word(word).is_none()));
        assert_eq!(on_word("SET").as_deref(), on_word("set").as_deref());
        assert_eq!(on_word("GET").as_deref(), Some("'get' is written in lower case"));
        assert_eq!((on_word("balance"), on_word("len")), (None, None));
    }
}

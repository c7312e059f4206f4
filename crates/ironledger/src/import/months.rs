//! Which month does a name mean, in the languages that exports are written in?

use std::sync::LazyLock;

/// The names of the months by language, January first, apart by spaces. A `|` parts the forms of
/// one month: the name, what a date declines it to, and the short forms that do not merely begin
/// one of these or that begin another month too.
///
/// Croatian is left out on purpose: its `lip` and `srp` are a month before the Polish `lip` and
/// the Czech `srp`.
const LANGUAGES: [&str; 19] = [
    // English.
    "january february march|mar april may june july august september october november \
     december",
    // Turkish.
    "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
    // Portuguese.
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    // German.
    "januar|jänner februar|feber märz april mai juni juli august september oktober november \
     dezember",
    // French.
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    // Spanish.
    "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre \
     diciembre",
    // Italian.
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre \
     dicembre",
    // Dutch.
    "januari februari maart|mrt april mei juni juli augustus september oktober november \
     december",
    // Polish.
    "styczeń|stycznia luty|lutego marzec|marca kwiecień|kwietnia maj|maja czerwiec|czerwca \
     lipiec|lipca sierpień|sierpnia wrzesień|września październik|października \
     listopad|listopada grudzień|grudnia",
    // Swedish.
    "januari februari mars april maj juni juli augusti september oktober november december",
    // Danish and Norwegian.
    "januar februar marts|mars april maj|mai juni juli august september oktober november \
     december|desember",
    // Finnish.
    "tammikuu|tammikuuta helmikuu|helmikuuta maaliskuu|maaliskuuta huhtikuu|huhtikuuta \
     toukokuu|toukokuuta kesäkuu|kesäkuuta heinäkuu|heinäkuuta elokuu|elokuuta \
     syyskuu|syyskuuta lokakuu|lokakuuta marraskuu|marraskuuta joulukuu|joulukuuta",
    // Czech.
    "leden|ledna únor|února březen|března duben|dubna květen|května červen|června|čvn \
     červenec|července|čvc srpen|srpna září říjen|října listopad|listopadu prosinec|prosince",
    // Hungarian.
    "január február március április május június július augusztus szeptember október november \
     december",
    // Romanian.
    "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie \
     decembrie",
    // Russian.
    "январь|января февраль|февраля март|марта апрель|апреля май|мая июнь|июня июль|июля \
     август|августа сентябрь|сентября октябрь|октября ноябрь|ноября декабрь|декабря",
    // Ukrainian.
    "січень|січня лютий|лютого березень|березня квітень|квітня травень|травня червень|червня \
     липень|липня серпень|серпня вересень|вересня жовтень|жовтня листопад|листопада \
     грудень|грудня",
    // Greek.
    "ιανουάριος|ιανουαρίου φεβρουάριος|φεβρουαρίου μάρτιος|μαρτίου απρίλιος|απριλίου \
     μάιος|μαΐου ιούνιος|ιουνίου ιούλιος|ιουλίου αύγουστος|αυγούστου σεπτέμβριος|σεπτεμβρίου \
     οκτώβριος|οκτωβρίου νοέμβριος|νοεμβρίου δεκέμβριος|δεκεμβρίου",
    // Chinese.
    "一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月",
];

/// A shorter beginning of a name says too little.
const SHORTEST: usize = 3;

/// Every name of the table, folded, with its month.
static NAMES: LazyLock<Vec<(String, u32)>> = LazyLock::new(|| {
    let months = LANGUAGES.iter().flat_map(|language| (1..).zip(language.split_whitespace()));
    months
        .flat_map(|(month, forms)| forms.split('|').map(move |form| (fold(form), month)))
        .collect()
});

/// The number of a month, 1 to 12, from its name in any of the languages: in full, or any
/// beginning of three letters or more that no other month shares (`juil.`, but not `jui`).
/// Capitals, accents and dots make no difference. `1月` and `1월` name January too.
pub(super) fn month(name: &str) -> Option<u32> {
    let name = fold(name);
    if let Some(number) = name.strip_suffix(['月', '월'])
        && let Ok(month) = number.parse()
    {
        return (1..=12).contains(&month).then_some(month);
    }
    if let Some((_, month)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*month);
    }
    if name.chars().count() < SHORTEST {
        return None;
    }
    let mut begun = NAMES.iter().filter(|(known, _)| known.starts_with(&name));
    let (_, month) = begun.next()?;
    begun.all(|(_, other)| other == month).then_some(*month)
}

/// Small letters without accents and dots, so that `ŞUB`, `şub.` and `sub` are one.
fn fold(name: &str) -> String {
    let plain = |c| match c {
        // Combining marks: İ in small letters is an i with a dot above.
        '\u{300}'..='\u{36f}' | '.' => None,
        'á' | 'à' | 'â' | 'ä' | 'å' => Some('a'),
        'ç' | 'č' => Some('c'),
        'é' | 'è' | 'ê' | 'ë' | 'ě' => Some('e'),
        'ğ' => Some('g'),
        'í' | 'ı' => Some('i'),
        'ń' | 'ň' => Some('n'),
        'ó' | 'ö' | 'ő' => Some('o'),
        'ř' => Some('r'),
        'ś' | 'ş' | 'ș' => Some('s'),
        'ú' | 'ù' | 'û' | 'ü' | 'ű' => Some('u'),
        'ź' | 'ż' => Some('z'),
        'ά' => Some('α'),
        'έ' => Some('ε'),
        'ί' | 'ϊ' | 'ΐ' => Some('ι'),
        'ύ' => Some('υ'),
        'ώ' => Some('ω'),
        'ς' => Some('σ'),
        'й' => Some('и'),
        c => Some(c),
    };
    name.to_lowercase().chars().filter_map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{LANGUAGES, NAMES, fold, month};

    #[test]
    fn every_language_has_twelve_and_no_name_means_two_months() {
        for language in LANGUAGES {
            assert_eq!(language.split_whitespace().count(), 12, "{language}");
        }
        let mut seen = HashMap::new();
        for (name, number) in NAMES.iter() {
            assert_eq!(seen.insert(name, number).unwrap_or(number), number, "{name}");
            assert_eq!(month(name), Some(*number), "{name}");
            assert!(name.chars().all(|c| fold(&c.to_string()) == c.to_string()), "{name}");
        }
    }

    #[test]
    fn short_forms_as_calendars_write_them() {
        let short = [
            "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec",
            "Oca Şub Mar Nis May Haz Tem Ağu Eyl Eki Kas Ara",
            "jan fev mar abr mai jun jul ago set out nov dez",
            "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
            "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
            "ene feb mar abr may jun jul ago sept oct nov dic",
            "gen feb mar apr mag giu lug ago set ott nov dic",
            "jan. feb. mrt. apr. mei jun. jul. aug. sep. okt. nov. dec.",
            "sty lut mar kwi maj cze lip sie wrz paź lis gru",
            "jan. feb. mars apr. maj juni juli aug. sep. okt. nov. dec.",
            "jan. feb. mar. apr. mai jun. jul. aug. sep. okt. nov. des.",
            "tammi helmi maalis huhti touko kesä heinä elo syys loka marras joulu",
            "led úno bře dub kvě čvn čvc srp zář říj lis pro",
            "jan. febr. márc. ápr. máj. jún. júl. aug. szept. okt. nov. dec.",
            "ian. feb. mar. apr. mai iun. iul. aug. sept. oct. nov. dec.",
            "янв. февр. мар. апр. мая июн. июл. авг. сент. окт. нояб. дек.",
            "січ. лют. бер. квіт. трав. черв. лип. серп. вер. жовт. лист. груд.",
            "Ιαν Φεβ Μαρ Απρ Μαΐ Ιουν Ιουλ Αυγ Σεπ Οκτ Νοε Δεκ",
            "1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月",
            "1월 2월 3월 4월 5월 6월 7월 8월 9월 10월 11월 12월",
        ];
        for language in short {
            for (number, name) in (1..).zip(language.split(' ')) {
                assert_eq!(month(name), Some(number), "{name}");
                assert_eq!(month(&name.to_uppercase()), Some(number), "{name} in capitals");
            }
        }
    }

    #[test]
    fn what_could_be_two_months_or_none_is_none() {
        for name in ["", ".", "ma", "jui", "červe", "ιου", "13月", "0月", "月", "Mayonnaise", "5"]
        {
            assert_eq!(month(name), None, "{name}");
        }
        assert_eq!(month("NİSAN"), Some(4));
        assert_eq!(month("kasım"), month("KASIM"));
    }
}

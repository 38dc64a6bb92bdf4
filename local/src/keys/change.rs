//! The text of a secret with more keys in it.

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::verify::{
    KEYS_MAX, KEYS_OF_ALL_SHOPS_MAX, SHOPS_MAX, Scheme, Shop, VerificationKey, secret::EXAMPLE,
};

use super::{
    given::{Entry, Given, is_published},
    read,
};

/// The shop that gets the keys.
#[derive(Default)]
pub(super) struct Target<'a> {
    /// Its name; `None` for the shop without a name.
    pub(super) shop: Option<&'a str>,
    /// The new source of its events.
    pub(super) source: Option<&'a str>,
    /// The source of the shop without a name, if it is configured.
    pub(super) unnamed_source: Option<&'a str>,
}

/// The changed secret. `Debug` shows the secret, so only tests derive it.
#[derive(Serialize)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Change {
    /// The new text of the secret; `None` if it already contains everything that is given.
    pub(super) secret: Option<String>,
    /// Places of the new keys.
    pub(super) added: Vec<String>,
    /// Places of the keys that the secret already contained.
    pub(super) known: Vec<String>,
    /// Entries of the secret that are invalid or should not be used. They stay unchanged.
    pub(super) warnings: Vec<String>,
}

/// Adds keys to the text of the secret. Errors and warnings contain no part of it.
pub(super) fn change(secret: &str, target: &Target<'_>, given: Given) -> Result<Change> {
    let Ok(mut content) = serde_json::from_str::<Map<String, Value>>(secret) else {
        bail!("the secret is not a JSON object, as in {EXAMPLE}");
    };
    let (usable, mut warnings) = read(secret, target.unnamed_source);
    for named in usable.signature_keys() {
        if is_published(&named.key)? {
            warnings.push(format!(
                "{}: is the published sample key, with which anybody can sign; remove it",
                named.name.position()
            ));
        }
    }
    let others = Others::of(&content, target.shop)?;
    let mut section = Section::take(&mut content, target.shop)?;
    if let Some(source) = target.source {
        section.set_source(source, &others, target.unnamed_source, &mut warnings)?;
    }
    match given {
        Given::Keys(scheme, entries) => section.add_keys(scheme, entries, &others)?,
        Given::Client { client_id, org_id } => section.add_client(client_id, org_id, &others)?,
    }
    let Section {
        fields,
        added,
        known,
        ..
    } = section;
    put_section(&mut content, target.shop, fields);
    Ok(Change {
        secret: (!added.is_empty()).then(|| Value::Object(content).to_string()),
        added,
        known,
        warnings,
    })
}

/// The keys and sources of all other shops. A key of two shops would count for neither.
struct Others {
    keys: Vec<(String, VerificationKey)>,
    clients: Vec<(String, String)>,
    sources: Vec<(String, Value)>,
}

impl Others {
    fn of(content: &Map<String, Value>, target: Option<&str>) -> Result<Self> {
        let (mut keys, mut clients) = (Vec::new(), Vec::new());
        let mut sources = Vec::new();
        for (shop, fields) in sections(content) {
            if shop == target {
                continue;
            }
            let prefix = prefix(shop);
            keys.extend(keys_of(&prefix, fields)?);
            clients.extend(clients_of(&prefix, fields)?);
            if let (Some(_), Some(source)) = (shop, fields.get("source")) {
                sources.push((format!("{prefix}source"), source.clone()));
            }
        }
        Ok(Self {
            keys,
            clients,
            sources,
        })
    }
}

/// The part of the secret that belongs to one shop, with what is added to it.
struct Section {
    prefix: String,
    fields: Map<String, Value>,
    added: Vec<String>,
    known: Vec<String>,
}

impl Section {
    /// Takes the section out of the secret, or begins a new one.
    fn take(content: &mut Map<String, Value>, shop: Option<&str>) -> Result<Self> {
        let fields = match shop {
            None => std::mem::take(content),
            Some(name) => {
                let shops = content.entry("shops").or_insert(Value::Null);
                if shops.is_null() {
                    *shops = json!({});
                }
                let Value::Object(shops) = shops else {
                    bail!("shops must be an object with a member for each shop");
                };
                ensure!(
                    shops.contains_key(name) || shops.len() < SHOPS_MAX,
                    "the secret would contain more than {SHOPS_MAX} shops"
                );
                match shops.remove(name) {
                    None | Some(Value::Null) => Map::new(),
                    Some(Value::Object(fields)) => fields,
                    Some(_) => bail!("shops/{name} must be an object"),
                }
            }
        };
        Ok(Self {
            prefix: prefix(shop),
            fields,
            added: Vec::new(),
            known: Vec::new(),
        })
    }

    fn set_source(
        &mut self,
        source: &str,
        others: &Others,
        unnamed: Option<&str>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        ensure!(
            Shop::is_source(source),
            "the source must be a URI with a scheme, as https://eu.example, of at most 100 characters"
        );
        ensure!(
            unnamed != Some(source),
            "the source is that of the shop without a name (EventSource)"
        );
        if let Some((place, _)) = others.sources.iter().find(|(_, other)| other == source) {
            bail!("{place} is the same source; two shops with one source cannot be told apart");
        }
        let place = format!("{}source", self.prefix);
        match self.fields.insert("source".to_owned(), source.into()) {
            Some(old) if old == source => self.known.push(place),
            old => {
                if old.is_some() {
                    warnings.push(format!(
                        "{place}: changes, so consumers take the shop's events for those of another shop"
                    ));
                }
                self.added.push(place);
            }
        }
        Ok(())
    }

    fn add_keys(&mut self, scheme: Scheme, given: Vec<Entry>, others: &Others) -> Result<()> {
        let of_scheme = |(_, key): &&(String, VerificationKey)| key.scheme() == scheme;
        let own = keys_of(&self.prefix, &self.fields)?;
        let mut keys: Vec<_> = own.iter().filter(of_scheme).cloned().collect();
        let count_of_others = others.keys.iter().filter(of_scheme).count();
        let list = scheme.secret_field();
        let mut entries = take_list(&mut self.fields, list);
        for (key, text) in given {
            if let Some((place, _)) = others.keys.iter().find(|(_, other)| *other == key) {
                bail!(
                    "the secret contains this key at {place}; a key of two shops counts for neither"
                );
            }
            if let Some((place, _)) = keys.iter().find(|(_, known)| *known == key) {
                if !self.added.contains(place) && !self.known.contains(place) {
                    self.known.push(place.clone());
                }
                continue;
            }
            ensure!(
                keys.len() < KEYS_MAX,
                "the secret would contain more than {KEYS_MAX} {}{list}, and a function uses the first {KEYS_MAX} only; remove some first",
                self.prefix
            );
            ensure!(
                keys.len() + count_of_others < KEYS_OF_ALL_SHOPS_MAX,
                "the secret would contain more than {KEYS_OF_ALL_SHOPS_MAX} {list} of all shops, and a function uses the first {KEYS_OF_ALL_SHOPS_MAX} only; remove some first"
            );
            let place = format!("{}{list}/{}", self.prefix, entries.len());
            entries.push(Value::String(text));
            self.added.push(place.clone());
            keys.push((place, key));
        }
        self.fields.insert(list.to_owned(), Value::Array(entries));
        Ok(())
    }

    fn add_client(&mut self, client_id: String, org_id: String, others: &Others) -> Result<()> {
        if let Some((place, _)) = others.clients.iter().find(|(_, other)| *other == client_id) {
            bail!(
                "the secret contains this client at {place}; a client of two shops counts for neither"
            );
        }
        let own = clients_of(&self.prefix, &self.fields)?;
        ensure!(
            own.iter().any(|(_, known)| *known == client_id)
                || own.len() + others.clients.len() < KEYS_OF_ALL_SHOPS_MAX,
            "the secret would contain more than {KEYS_OF_ALL_SHOPS_MAX} clients of all shops; remove some first"
        );
        let mut ims = match self.fields.remove("ims") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(ims)) => ims,
            Some(_) => bail!("{}ims must be an object", self.prefix),
        };
        for (list, id) in [("client_ids", client_id), ("org_ids", org_id)] {
            let mut entries = take_list(&mut ims, list);
            let place = |index| format!("{}ims/{list}/{index}", self.prefix);
            if let Some(index) = entries.iter().position(|known| *known == id) {
                self.known.push(place(index));
            } else {
                ensure!(
                    entries.len() < KEYS_MAX,
                    "the secret would contain more than {KEYS_MAX} {}ims/{list}; remove some first",
                    self.prefix
                );
                self.added.push(place(entries.len()));
                entries.push(id.into());
            }
            ims.insert(list.to_owned(), Value::Array(entries));
        }
        self.fields.insert("ims".to_owned(), Value::Object(ims));
        Ok(())
    }
}

/// Puts the section of a shop back into the secret.
fn put_section(content: &mut Map<String, Value>, shop: Option<&str>, fields: Map<String, Value>) {
    match (shop, content.get_mut("shops")) {
        (Some(name), Some(Value::Object(shops))) => {
            shops.insert(name.to_owned(), Value::Object(fields));
        }
        _ => *content = fields,
    }
}

/// Returns the sections of all shops. The section of the shop without a name is the whole secret.
fn sections(content: &Map<String, Value>) -> Vec<(Option<&str>, &Map<String, Value>)> {
    let named = content.get("shops").and_then(Value::as_object);
    let named = named.into_iter().flatten().filter_map(|(name, section)| {
        let fields = section.as_object()?;
        Shop::is_name(name).then_some((Some(&**name), fields))
    });
    std::iter::once((None, content)).chain(named).collect()
}

fn prefix(shop: Option<&str>) -> String {
    shop.map(|name| format!("shops/{name}/"))
        .unwrap_or_default()
}

/// Returns the usable keys of a section, each with its place. The section is read alone, so keys
/// that another shop has as well are among them.
fn keys_of(prefix: &str, fields: &Map<String, Value>) -> Result<Vec<(String, VerificationKey)>> {
    let (usable, _) = read(&alone(fields)?, None);
    let place = |position: String| format!("{prefix}{position}");
    let keys = usable.signature_keys().iter();
    Ok(keys
        .map(|named| (place(named.name.position()), named.key.clone()))
        .collect())
}

/// Returns the clients of a section, each with its place.
fn clients_of(prefix: &str, fields: &Map<String, Value>) -> Result<Vec<(String, String)>> {
    let (usable, _) = read(&alone(fields)?, None);
    let clients = usable.ims_clients().iter();
    Ok(clients
        .map(|named| {
            let place = format!("{prefix}{}", named.name.position());
            (place, named.key.client_id.clone())
        })
        .collect())
}

/// Returns a section as the secret of the shop without a name.
fn alone(fields: &Map<String, Value>) -> Result<String> {
    let mut fields = fields.clone();
    fields.remove("shops");
    Ok(serde_json::to_string(&fields)?)
}

/// Removes a list from the fields. A single entry is a list of one.
fn take_list(fields: &mut Map<String, Value>, list: &str) -> Vec<Value> {
    match fields.remove(list) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(one) => vec![one],
    }
}

//! Adds keys to the text of a secret. It reads keys with the code of the functions, so a function
//! can use every key that it adds.

mod change;
mod given;

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Serialize;
use shared::verify::{Keys, Scheme, SecretVersion, Shop, SignaturePolicy, secret::Secret};

use self::{
    change::{Target, change},
    given::{Given, is_published},
};

/// Adds the keys of a file, or a client of IMS, to a secret, or lists the keys of the secret. It
/// reads the secret from standard input and writes JSON to standard output.
#[derive(Args)]
pub(crate) struct KeysCommand {
    #[command(flatten)]
    task: Task,
    /// Organization of the client in IMS, which ends in `@AdobeOrg`.
    #[arg(long, value_name = "ID", requires = "ims_client")]
    ims_org: Option<String>,
    /// Name of the shop that the keys belong to; the shop without a name if it is missing.
    #[arg(long, value_name = "NAME", value_parser = shop_name)]
    shop: Option<String>,
    /// Source of the shop's events, a URI.
    #[arg(long, value_name = "URI", requires = "shop")]
    source: Option<String>,
    /// Source of the events of the shop without a name, if it is configured.
    #[arg(long, value_name = "URI")]
    event_source: Option<String>,
    /// Accept the published sample keys, too, for an emulator on this machine.
    #[arg(long)]
    allow_published: bool,
}

#[derive(Args)]
#[group(id = "task", required = true, multiple = false)]
struct Task {
    /// PEM file with public keys of the shop.
    #[arg(long, value_name = "FILE")]
    pem: Option<PathBuf>,
    /// File with a secret that the shop shares.
    #[arg(long, value_name = "FILE")]
    hmac: Option<PathBuf>,
    /// Client of IMS whose tokens count.
    #[arg(long, value_name = "ID", requires = "ims_org")]
    ims_client: Option<String>,
    /// List the places of the usable keys, without the keys.
    #[arg(long)]
    list: bool,
}

/// Checks the name of a shop.
fn shop_name(text: &str) -> Result<String, &'static str> {
    if Shop::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 32 of a-z, 0-9, - and _, beginning with a letter or digit")
    }
}

/// The output of `--list`, for `make keys`, `make apply` and `make doctor`.
#[derive(Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Usable {
    /// The keys that verify signatures.
    keys: Vec<Place>,
    /// The clients of each shop in IMS. Their ids are not secret.
    ims: Vec<ImsOfShop>,
    /// The shops that have a usable key or client.
    shops: Vec<NamedShop>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Place {
    place: String,
    /// Whether it is a published sample key, whose private key is public.
    published: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct ImsOfShop {
    shop: Option<String>,
    client_ids: Vec<String>,
    org_ids: Vec<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct NamedShop {
    name: String,
    source: String,
}

impl KeysCommand {
    /// Writes the new secret or the list.
    pub(crate) fn run(&self, out: &mut impl Write) -> Result<bool> {
        let mut secret = String::new();
        io::stdin()
            .read_to_string(&mut secret)
            .context("the secret cannot be read")?;
        if self.task.list {
            serde_json::to_writer(out, &list_keys(&secret, self.event_source.as_deref())?)?;
            return Ok(true);
        }
        let target = Target {
            shop: self.shop.as_deref(),
            source: self.source.as_deref(),
            unnamed_source: self.event_source.as_deref(),
        };
        serde_json::to_writer(out, &change(&secret, &target, self.given()?)?)?;
        Ok(true)
    }

    /// Reads what is added.
    fn given(&self) -> Result<Given> {
        let Task {
            pem,
            hmac,
            ims_client,
            ..
        } = &self.task;
        match (pem, hmac, ims_client, &self.ims_org) {
            (Some(file), ..) => Given::from_file(Scheme::Rsa, file, self.allow_published),
            (_, Some(file), ..) => Given::from_file(Scheme::Hmac, file, self.allow_published),
            (_, _, Some(client_id), Some(org_id)) => Given::client(client_id, org_id),
            _ => bail!("no file and no client is given"),
        }
    }
}

/// Reads the usable keys of a secret, and the errors of the rest.
fn read(secret: &str, unnamed_source: Option<&str>) -> (Keys, Vec<String>) {
    let (usable, errors) = Secret::read(
        secret,
        &SignaturePolicy::every_scheme(),
        unnamed_source,
        SecretVersion::Current,
    );
    (usable.keys, errors)
}

/// Lists the places of the usable keys.
fn list_keys(secret: &str, unnamed_source: Option<&str>) -> Result<Usable> {
    let (usable, _) = read(secret, unnamed_source);
    let (mut keys, mut shops) = (Vec::new(), BTreeMap::new());
    let mut ims = BTreeMap::<_, ImsOfShop>::new();
    for named in usable.signature_keys() {
        keys.push(Place {
            place: named.name.position(),
            published: is_published(&named.key)?,
        });
    }
    for client in usable.ims_clients() {
        let shop = client.name.shop().map(|shop| shop.name.clone());
        let of_shop = ims.entry(shop.clone()).or_insert_with(|| ImsOfShop {
            shop,
            client_ids: Vec::new(),
            org_ids: client.key.org_ids().to_vec(),
        });
        of_shop.client_ids.push(client.key.client_id.clone());
    }
    let of_keys = usable.signature_keys().iter().map(|named| &named.name);
    let of_clients = usable.ims_clients().iter().map(|named| &named.name);
    for shop in of_keys.chain(of_clients).filter_map(|name| name.shop()) {
        shops.insert(shop.name.clone(), shop.source.clone());
    }
    Ok(Usable {
        keys,
        ims: ims.into_values().collect(),
        shops: shops
            .into_iter()
            .map(|(name, source)| NamedShop { name, source })
            .collect(),
    })
}

#[cfg(test)]
mod tests;

//! Authentication, TLS, SASL and Kerberos.

use super::Kind::{Bool, Class, Int, List, Path, Text};
use super::{Row, bare, sys};

const TLS: &str = "TLS is not part of this version yet";
const SASL: &str = "SASL logins are not part of this version yet";
const KERBEROS: &str = "there is no JVM Kerberos; use the system's krb5.conf and KRB5_CONFIG";

pub(super) const ROWS: &[Row] = &[
    sys!(
        "DigestAuthenticationProvider.superDigest",
        Text,
        "",
        "",
        "super:<hash> may do everything"
    )
    .seen(),
    sys!(
        "DigestAuthenticationProvider.enabled",
        Bool,
        "",
        "true",
        "scheme digest"
    )
    .seen(),
    sys!(
        "DigestAuthenticationProvider.digestAlg",
        Text,
        "",
        "SHA1",
        "hash of scheme digest"
    )
    .range("SHA1, SHA-256, SHA-512")
    .seen(),
    sys!(
        "X509AuthenticationProvider.superUser",
        Text,
        "",
        "",
        "exact principal"
    )
    .planned(TLS)
    .seen(),
    sys!(
        "X509AuthenticationProvider.*",
        Text,
        "",
        "",
        "details of x509 identities"
    )
    .planned(TLS),
    sys!("superUser", Text, "", "", "SASL id that may do everything")
        .planned(SASL)
        .seen(),
    sys!("superUser.*", Text, "", "", "more of them")
        .planned(SASL)
        .seen(),
    sys!(
        "authProvider.*",
        Class,
        "",
        "",
        "class of an authentication scheme"
    )
    .seen(),
    sys!(
        "IPAuthenticationProvider.usexforwardedfor",
        Bool,
        "",
        "false",
        "X-Forwarded-For is the ip"
    )
    .planned("the AdminServer is not part of this version yet"),
    sys!(
        "ensembleAuthName",
        List,
        "",
        "",
        "names that scheme ensemble takes"
    )
    .seen(),
    sys!(
        "allowSaslFailedClients",
        Bool,
        "",
        "false",
        "keep clients whose SASL failed"
    )
    .seen(),
    sys!(
        "sessionRequireClientSASLAuth",
        Bool,
        "",
        "false",
        "every session needs SASL"
    )
    .seen(),
    sys!(
        "enforce.auth.enabled",
        Bool,
        "",
        "false",
        "every session needs a listed scheme"
    )
    .seen(),
    sys!("enforce.auth.schemes", List, "", "", "the schemes").seen(),
    sys!(
        "SASLAuthenticationProvider.superPassword",
        Text,
        "",
        "",
        "legacy super user"
    )
    .planned(SASL),
    sys!("letAnySaslUserDoX", Text, "", "", "legacy SASL switch")
        .planned(SASL)
        .seen(),
    sys!(
        "sasl.serverconfig",
        Text,
        "",
        "Server",
        "JAAS section of the server"
    )
    .planned(SASL),
    bare!("java.security.auth.login.config", Path, "", "", "JAAS file").planned(SASL),
    sys!(
        "kerberos.removeHostFromPrincipal",
        Bool,
        "",
        "false",
        "principal mapping"
    )
    .planned(SASL)
    .seen(),
    sys!(
        "kerberos.removeRealmFromPrincipal",
        Bool,
        "",
        "false",
        "principal mapping"
    )
    .planned(SASL)
    .seen(),
    sys!(
        "kerberos.canonicalizeHostNames",
        Bool,
        "",
        "false",
        "principal mapping"
    )
    .planned(SASL),
    sys!(
        "kerberos.minReLoginTimeMs",
        Int,
        "ms",
        "60000",
        "pause between logins"
    )
    .planned(SASL),
    sys!(
        "security.auth_to_local",
        Text,
        "",
        "DEFAULT",
        "principal mapping"
    )
    .planned(SASL)
    .seen(),
    sys!(
        "requireKerberosConfig",
        Bool,
        "",
        "false",
        "insist on krb5.conf"
    )
    .warned(KERBEROS),
    sys!("kinit", Path, "", "/usr/bin/kinit", "kinit command").warned(KERBEROS),
    bare!("sun.security.jgss.native", Bool, "", "false", "native GSS").warned(KERBEROS),
    bare!(
        "java.security.krb5.*",
        Text,
        "",
        "",
        "JVM Kerberos settings"
    )
    .warned(KERBEROS),
    sys!(
        "fips-mode",
        Bool,
        "",
        "true",
        "FIPS rules for SASL and host names"
    )
    .planned(SASL)
    .seen(),
    sys!(
        "ssl.context.supplier.class",
        Class,
        "",
        "",
        "own SSLContext"
    )
    .refused("a Java class cannot make the TLS context of this server"),
    sys!(
        "ssl.quorum.context.supplier.class",
        Class,
        "",
        "",
        "own SSLContext between peers"
    )
    .refused("a Java class cannot make the TLS context of this server"),
    sys!(
        "ssl.authProvider",
        Text,
        "",
        "x509",
        "scheme of client certificates"
    )
    .refused("only x509 can judge client certificates"),
    sys!("ssl.crl", Bool, "", "false", "check revocation lists").planned(TLS),
    sys!("ssl.ocsp", Bool, "", "false", "check revocation on line").planned(TLS),
    sys!(
        "ssl.quorum.*",
        Text,
        "",
        "",
        "TLS between peers and of the AdminServer"
    )
    .planned(TLS),
    sys!("ssl.*", Text, "", "", "TLS of clients").planned(TLS),
    sys!(
        "client.portUnification",
        Bool,
        "",
        "false",
        "TLS on the plain port too"
    )
    .planned(TLS),
    sys!(
        "client.certReload",
        Bool,
        "",
        "false",
        "reload certificates"
    )
    .planned(TLS),
    bare!("javax.net.ssl.*", Text, "", "", "JVM TLS settings")
        .warned("there is no JVM; use the ssl.* keys"),
    bare!("javax.net.*", Text, "", "", "JVM network settings").silent("there is no JVM"),
    bare!("jdk.*", Text, "", "", "JVM settings").silent("there is no JVM"),
    bare!("com.sun.*", Text, "", "", "JVM settings").silent("there is no JVM"),
    bare!("sun.*", Text, "", "", "JVM settings").silent("there is no JVM"),
    bare!("java.*", Text, "", "", "JVM settings").silent("there is no JVM"),
    bare!("networkaddress.cache.ttl", Int, "s", "", "JVM name cache").silent("there is no JVM"),
];

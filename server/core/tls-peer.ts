/** Who the caller is by its verified client certificate (mTLS). */
export interface TlsPeer {
  /** Common name of the subject, empty when the certificate has none. */
  readonly commonName: string;
  /** Alternative names as OpenSSL prints them, e.g. `DNS:a.example, URI:spiffe://b`; empty when there are none. */
  readonly alternativeNames: string;
  /** SHA-256 of the certificate, colon-separated upper-case hex. */
  readonly fingerprint: string;
}

/** Key of the TlsPeer in `Call.attributes`; absent without mTLS. Set by server/rpc, read by authentication filters. */
export const tlsPeer: unique symbol = Symbol('tlsPeer');

import { X509Certificate } from 'node:crypto';

const pemCertificate = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[\s\S]+?-----END [A-Z0-9 ]+-----/g;

/**
 * Throws Error unless every certificate of a bundle can be read and there is one. Node takes any text for a bundle of
 * authorities, and then trusts nobody.
 */
export function checkAuthorities(pem: string | Buffer): void {
  const certificates = pem.toString('latin1').match(pemCertificate) ?? [];
  if (certificates.length === 0) throw new Error('the CA holds no certificate in PEM form');
  for (const certificate of certificates) new X509Certificate(certificate);
}

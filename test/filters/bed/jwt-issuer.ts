import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

export interface JwtIssuer extends AsyncDisposable {
  /** Where the JWKS is served. */
  readonly url: string;
  /** The JWKS as it stands. */
  jwks(): Promise<{ keys: unknown[] }>;
  /** Signs with the latest key. */
  sign(claims: JWTPayload): Promise<string>;
  /** A new key; the old one is withdrawn. */
  rotate(): Promise<void>;
  /** How requests are answered from now on; undefined = with the JWKS. */
  fault: 'status' | 'hang' | 'garbage' | 'huge' | 'redirect' | undefined;
  /** Requests answered so far. */
  readonly requests: number;
}

/** A real token issuer on a free port. */
export async function startJwtIssuer(): Promise<JwtIssuer> {
  let serial = 0;
  let pair: KeyPair = await generateKeyPair('ES256', { extractable: true });
  let requests = 0;
  const jwks = async () => ({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: `k${serial}`, alg: 'ES256' }] });
  const server = createServer(async (_request, response) => {
    requests++;
    if (issuer.fault === 'hang') return;
    if (issuer.fault === 'status') response.statusCode = 503;
    if (issuer.fault === 'redirect') response.writeHead(302, { location: '/elsewhere' });
    if (issuer.fault === 'garbage') response.end('<html>');
    else if (issuer.fault === 'huge') response.end('x'.repeat(1_100_000));
    else response.end(JSON.stringify(await jwks()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer: JwtIssuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`,
    jwks,
    sign: (claims) => new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: `k${serial}` }).sign(pair.privateKey),
    rotate: async () => {
      serial++;
      pair = await generateKeyPair('ES256', { extractable: true });
    },
    fault: undefined,
    get requests() {
      return requests;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return issuer;
}

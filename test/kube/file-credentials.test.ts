import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { fileCredentials } from '../../lib/kube/file-credentials.ts';
import { KubeClient } from '../../lib/kube/kube-client.ts';
import { Authority, type KeyPair } from '../control-plane/keys.ts';

let folder: string;
let authority: Authority;
let stranger: Authority;
let client: KeyPair;
let serving: KeyPair;
/** Says who asked: token and subject of the client's certificate. */
let server: Server;
let status = 200;
const asked: { readonly token: string | undefined; readonly subject: string | undefined }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), `nlt${process.pid}-credentials-`));
  authority = await Authority.create(folder, 'ca');
  stranger = await Authority.create(folder, 'stranger');
  serving = await authority.issue('serving', '/CN=server', 'IP:127.0.0.1,IP:::1,DNS:kubernetes.default.svc');
  client = await authority.issue('client', '/CN=agent');
  server = createServer(
    {
      ...{ cert: await readFile(serving.cert), key: await readFile(serving.key), ca: await readFile(authority.cert) },
      ...{ requestCert: true, rejectUnauthorized: false },
    },
    (request, response) => {
      const subject = (request.socket as TLSSocket).getPeerCertificate()?.subject?.CN;
      asked.push({
        token: request.headers.authorization,
        subject: subject === undefined ? undefined : String(subject),
      });
      response.writeHead(status).end('{}');
    },
  );
});

afterEach(() => {
  status = 200;
  asked.length = 0;
  server.closeAllConnections();
  server.close();
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function listen(host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function kubeconfig(cluster: object, user: object): Promise<string> {
  const path = join(folder, 'config');
  const text = stringify({
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
  return path;
}

async function ask(api: KubeClient): Promise<number> {
  const reply = await api.get('/version', AbortSignal.timeout(10_000));
  reply.body.resume();
  return reply.status;
}

const base64 = async (path: string) => (await readFile(path)).toString('base64');

describe('a client with a kubeconfig', () => {
  test('shows its token and its certificate to a server that it knows', async () => {
    const url = `https://127.0.0.1:${await listen()}`;
    const path = await kubeconfig(
      { server: url, 'certificate-authority-data': await base64(authority.cert) },
      { 'client-certificate': 'client.crt', 'client-key-data': await base64(client.key), token: 'first' },
    );
    const api = await KubeClient.create(fileCredentials({ kubeconfig: path }));
    expect(await ask(api)).toBe(200);
    expect(asked).toEqual([{ token: 'Bearer first', subject: 'agent' }]);
  });

  test('refuses a server that another authority has signed, unless it is told not to look', async () => {
    const url = `https://127.0.0.1:${await listen()}`;
    const cluster = { server: url, 'certificate-authority': 'stranger.crt' };
    const api = await KubeClient.create(fileCredentials({ kubeconfig: await kubeconfig(cluster, { token: 'a' }) }));
    await expect(ask(api)).rejects.toThrow(/certificate/);
    expect(asked).toEqual([]);
    // The refusal made it read the kubeconfig again.
    await kubeconfig({ server: url, 'insecure-skip-tls-verify': true }, { token: 'a' });
    await expect(ask(api)).rejects.toThrow(/certificate/);
    expect(await ask(api)).toBe(200);
    expect(stranger.name).toBe('stranger');
  });

  test('without an authority says what the credentials lack, and nothing of how Node is started', async () => {
    const url = `https://127.0.0.1:${await listen()}`;
    const path = await kubeconfig({ server: url }, { token: 'a' });
    const api = await KubeClient.create(fileCredentials({ kubeconfig: path }));
    const error = await ask(api).catch(String);
    expect(error).toMatch(/certificate.*certificate-authority/);
    expect(error).not.toMatch(/Node|--use-system-ca/);
  });

  test('looks for the name that tls-server-name says', async () => {
    const url = `https://localhost:${await listen('localhost')}`;
    const cluster = { server: url, 'certificate-authority': 'ca.crt' };
    const named = { ...cluster, 'tls-server-name': 'kubernetes.default.svc' };
    const plain = await KubeClient.create(fileCredentials({ kubeconfig: await kubeconfig(cluster, {}) }));
    await expect(ask(plain)).rejects.toThrow(/altnames/);
    const api = await KubeClient.create(fileCredentials({ kubeconfig: await kubeconfig(named, {}) }));
    expect(await ask(api)).toBe(200);
  });

  test('uses the newest token of a file, and the newest kubeconfig once it was refused', async () => {
    const cluster = { server: `https://127.0.0.1:${await listen()}`, 'certificate-authority': 'ca.crt' };
    await writeFile(join(folder, 'token'), 'one\n');
    const path = await kubeconfig(cluster, { tokenFile: 'token' });
    const api = await KubeClient.create(fileCredentials({ kubeconfig: path }));
    await ask(api);
    await writeFile(join(folder, 'token'), 'two\n');
    await ask(api);
    await kubeconfig(cluster, { token: 'three' });
    status = 401;
    expect(await ask(api)).toBe(401);
    await ask(api);
    expect(asked.map(({ token }) => token)).toEqual(['Bearer one', 'Bearer two', 'Bearer two', 'Bearer three']);
    await writeFile(join(folder, 'token'), '');
    await kubeconfig(cluster, { tokenFile: 'token' });
    // What cannot be read leaves what was read before.
    await ask(api);
    expect(asked.at(-1)?.token).toBe('Bearer three');
  });

  test.each([
    [
      'a file that is not there',
      { token: 'geheim' },
      { 'certificate-authority': 'nowhere.crt' },
      /ENOENT.*nowhere\.crt/,
    ],
    [
      'a CA that is none',
      { token: 'geheim' },
      { 'certificate-authority': 'client.key' },
      /no certificate in .*client.key/,
    ],
    [
      'a key of another certificate',
      { 'client-certificate': 'client.crt', 'client-key': 'serving.key' },
      {},
      /mismatch/,
    ],
    ['a token of two lines', { token: 'geheim\ngeheim' }, {}, /^the token is empty, or no token$/],
    ['an empty token file', { tokenFile: 'empty' }, {}, /the token in .*empty is empty/],
  ])('is told at once of %s', async (_, user, cluster, found) => {
    await writeFile(join(folder, 'empty'), '\n');
    const path = await kubeconfig({ server: 'https://127.0.0.1:1', ...cluster }, user);
    const refused = KubeClient.create(fileCredentials({ kubeconfig: path }));
    await expect(refused).rejects.toMatchObject({ code: 'KUBECONFIG_UNUSABLE', details: { place: path } });
    await refused.catch((error: { details: { found: string }; describe(): string }) => {
      expect(error.details.found).toMatch(found);
      expect(error.describe()).not.toContain('geheim');
    });
  });

  test('is told where a kubeconfig is no YAML, without its secrets', async () => {
    const path = join(folder, 'broken');
    await writeFile(path, 'users:\n- name: u\n  user:\n    token: "geheim\n');
    const refused = KubeClient.create(fileCredentials({ kubeconfig: path }));
    await expect(refused).rejects.toMatchObject({ code: 'KUBECONFIG_UNUSABLE' });
    await refused.catch((error: { describe(): string }) => {
      expect(error.describe()).toMatch(/broken \(line \d+\)/);
      expect(error.describe()).not.toContain('geheim');
    });
  });
});

describe('a client in a pod', () => {
  const MOUNT = 'var/run/secrets/kubernetes.io/serviceaccount';

  test.each([['127.0.0.1'], ['::1']])('at %s uses the newest mounted token', async (host) => {
    const port = await listen(host);
    const root = join(folder, `pod-${host.length}`);
    await mkdir(join(root, MOUNT), { recursive: true });
    await writeFile(join(root, MOUNT, 'ca.crt'), await readFile(authority.cert));
    const place = { kubeconfig: undefined, root };
    const env = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: String(port) };
    await expect(KubeClient.create(fileCredentials(place, env))).rejects.toMatchObject({ code: 'KUBECONFIG_UNUSABLE' });
    await writeFile(join(root, MOUNT, 'token'), 'one');
    const api = await KubeClient.create(fileCredentials(place, env));
    await ask(api);
    await writeFile(join(root, MOUNT, 'token'), 'two');
    await ask(api);
    expect(asked.map(({ token }) => token)).toEqual(['Bearer one', 'Bearer two']);
  });
});

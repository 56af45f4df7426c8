import { describe, expect, test } from 'vitest';
import { NetloomError } from '../../lib/errors.ts';
import { identityOf } from '../../lib/kube/kubeconfig.ts';
import { serviceAccount } from '../../lib/kube/service-account.ts';

const SERVER = 'https://10.0.0.1:6443';
const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const base64 = (text: string) => Buffer.from(text).toString('base64');

interface Parts {
  readonly cluster?: object;
  readonly user?: object;
  /** Members of the kubeconfig itself, over the usual ones. */
  readonly root?: object;
}

function kubeconfig({ cluster = {}, user = {}, root = {} }: Parts): object {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'other', cluster: { server: 'https://192.0.2.1' } },
      { name: 'c', cluster: { server: SERVER, ...cluster } },
    ],
    users: [
      { name: 'other', user: { token: 'of another' } },
      { name: 'u', user },
    ],
    contexts: [
      { name: 'other', context: { cluster: 'other', user: 'other' } },
      { name: 'x', context: { cluster: 'c', user: 'u' } },
    ],
    'current-context': 'x',
    ...root,
  };
}

const read = (parts: Parts) => identityOf(kubeconfig(parts), '/etc/k/config', '/etc/k');

function refusal(value: unknown): NetloomError {
  try {
    identityOf(value, '/etc/k/config', '/etc/k');
  } catch (error) {
    expect(error).toBeInstanceOf(NetloomError);
    expect(error).toMatchObject({ code: 'KUBECONFIG_UNUSABLE' });
    return error as NetloomError;
  }
  throw new Error('was taken');
}

describe('a kubeconfig', () => {
  test('is read by its current context; paths are relative to its folder', () => {
    const parts = {
      cluster: { 'certificate-authority': 'pki/ca.crt', 'tls-server-name': 'kubernetes' },
      user: { 'client-certificate': '/abs/u.crt', 'client-key': '../u.key', tokenFile: 'token' },
    };
    expect(read(parts)).toEqual({
      server: SERVER,
      ca: { file: '/etc/k/pki/ca.crt' },
      insecure: false,
      serverName: 'kubernetes',
      token: { file: '/etc/k/token' },
      certificate: { file: '/abs/u.crt' },
      key: { file: '/etc/u.key' },
    });
  });

  test('holds material itself, which goes before files; a tokenFile goes before a token', () => {
    const parts = {
      cluster: { 'certificate-authority': 'ca.crt', 'certificate-authority-data': base64(PEM) },
      user: {
        ...{ 'client-certificate-data': base64(PEM), 'client-key-data': base64(PEM) },
        ...{ token: 'one', tokenFile: 'two' },
      },
    };
    const pem = { bytes: Buffer.from(PEM) };
    expect(read(parts)).toMatchObject({ ca: pem, certificate: pem, key: pem, token: { file: '/etc/k/two' } });
    expect(read({ user: { token: 'one' } }).token).toEqual({ bytes: Buffer.from('one') });
  });

  test('without proof of who we are is anonymous, and without a CA trusts what the machine trusts', () => {
    expect(read({})).toMatchObject({ ca: undefined, token: undefined, certificate: undefined, insecure: false });
    expect(read({ cluster: { 'insecure-skip-tls-verify': true } }).insecure).toBe(true);
  });

  const exec = { exec: { command: 'aws', args: ['eks', 'get-token'], apiVersion: 'client.authentication.k8s.io/v1' } };
  test.each([
    ['an exec plugin', { user: exec }, /exec: a plugin/],
    ['an auth-provider', { user: { 'auth-provider': { name: 'oidc' } } }, /auth-provider/],
    ['a user name', { user: { username: 'a', password: 'geheim' } }, /username and password/],
    ['impersonation', { user: { token: 'geheim', as: 'somebody' } }, /impersonation/],
    ['impersonation of groups', { user: { token: 'geheim', 'as-groups': ['a'] } }, /impersonation/],
    ['a proxy', { cluster: { 'proxy-url': 'http://geheim@proxy:3128' } }, /proxy-url/],
  ])('with %s is refused, with what is supported and what to do, and no secret', (_, parts, found) => {
    const error = refusal(kubeconfig(parts));
    expect(error.details.found).toMatch(found);
    expect(error.message).toMatch(/not supported/);
    expect(error.details.expected).toMatch(/token, tokenFile, or client-certificate|reached directly/);
    expect(error.details.place).toMatch(/^\/etc\/k\/config \((user "u"|cluster "c")\)$/);
    expect(error.remedy).toMatch(/ServiceAccount|without a proxy/);
    expect(error.describe()).not.toContain('geheim');
  });

  test('that leaves empty what is not supported is taken', () => {
    expect(read({ user: { token: 'a', exec: null, username: '', as: '' }, cluster: { 'proxy-url': '' } }).server).toBe(
      SERVER,
    );
  });

  test.each([
    ['nothing', null, /no mapping/],
    ['a text', 'geheim', /no mapping/],
    ['no current context', kubeconfig({ root: { 'current-context': '' } }), /^none; contexts: "other", "x"$/],
    ['a context that is not there', kubeconfig({ root: { 'current-context': 'y' } }), /^"y"; contexts: "other", "x"$/],
    ['no contexts', kubeconfig({ root: { contexts: null } }), /^"x"; contexts: none$/],
    ['no clusters', kubeconfig({ root: { clusters: {} } }), /^"c"; clusters: none$/],
    ['no users', kubeconfig({ root: { users: [] } }), /^"u"; users: none$/],
    ['no server', kubeconfig({ cluster: { server: '' } }), /^none$/],
    ['a server without scheme', kubeconfig({ cluster: { server: 'api.example:6443' } }), /^"api.example:6443"$/],
    ['a server of another type', kubeconfig({ cluster: { server: 7 } }), /^none$/],
    ['CA data that is no PEM', kubeconfig({ cluster: { 'certificate-authority-data': 'geheim' } }), /^no PEM$/],
    ['a key without certificate', kubeconfig({ user: { 'client-key': 'k' } }), /^none$/],
    ['a certificate without key', kubeconfig({ user: { 'client-certificate-data': base64(PEM) } }), /^none$/],
    [
      'a CA that is not to be used',
      kubeconfig({ cluster: { 'certificate-authority': 'ca', 'insecure-skip-tls-verify': true } }),
      /^both$/,
    ],
  ])('with %s says what was expected and found', (_, value, found) => {
    const error = refusal(value);
    expect(error.details.found).toMatch(found);
    expect(error.details.expected).not.toBe('');
    expect(error.describe()).not.toContain('geheim');
  });
});

describe('the ServiceAccount of a pod', () => {
  test.each([
    ['10.96.0.1', '443', 'https://10.96.0.1:443'],
    ['fd00:10:96::1', '6443', 'https://[fd00:10:96::1]:6443'],
  ])('is used at %s', (host, port, server) => {
    expect(serviceAccount({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }, '/')).toEqual({
      server,
      ca: { file: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt' },
      insecure: false,
      serverName: undefined,
      token: { file: '/var/run/secrets/kubernetes.io/serviceaccount/token' },
      certificate: undefined,
      key: undefined,
    });
  });

  test.each([
    [{}],
    [{ KUBERNETES_SERVICE_HOST: '10.96.0.1' }],
    [{ KUBERNETES_SERVICE_HOST: 'a b', KUBERNETES_SERVICE_PORT: '1' }],
  ])('needs a pod around it: %j', (env) => {
    expect(() => serviceAccount(env, '/')).toThrowError(
      expect.objectContaining({ code: 'KUBECONFIG_UNUSABLE' }) as Error,
    );
  });
});

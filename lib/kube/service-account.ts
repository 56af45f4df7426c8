import { join } from 'node:path';
import { unusableCredentials } from './credentials.ts';
import type { Identity } from './kubeconfig.ts';

const FOLDER = 'var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Of the pod that this runs in, as client-go's InClusterConfig. Pure.
 * @param root folder before /var/run/secrets
 * @throws NetloomError KUBECONFIG_UNUSABLE outside of a pod
 */
export function serviceAccount(env: Readonly<Record<string, string | undefined>>, root: string): Identity {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '';
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (host === '' || port === '' || !URL.canParse(server)) {
    throw unusableCredentials(undefined, {
      expected: 'to run in a pod with a mounted token, or --kubeconfig FILE',
      found: `KUBERNETES_SERVICE_HOST ${JSON.stringify(host)}, KUBERNETES_SERVICE_PORT ${JSON.stringify(port)}`,
    });
  }
  const file = (name: string) => ({ file: join(root, FOLDER, name) });
  return {
    server,
    ca: file('ca.crt'),
    insecure: false,
    serverName: undefined,
    token: file('token'),
    certificate: undefined,
    key: undefined,
  };
}

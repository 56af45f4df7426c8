import { request } from 'node:http';
import type { HostPriority } from '../lab/demo/index.ts';
import { NetloomError } from '../lib/errors.ts';

/** Asks exactly as kube-scheduler does with nodeCacheCapable (control-plane.md: headers and body of 1.37). */
export function askPrioritize(
  port: number,
  pod: object,
  nodeNames: readonly string[],
): Promise<{ readonly hosts: readonly HostPriority[]; readonly tookMs: number }> {
  const body = JSON.stringify({ Pod: pod, Nodes: null, NodeNames: nodeNames });
  const fromMs = performance.now();
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port,
        method: 'POST',
        path: '/prioritize',
        headers: {
          'User-Agent': 'Go-http-client/1.1',
          'Content-Length': Buffer.byteLength(body),
          'Content-Type': 'application/json',
          'Accept-Encoding': 'gzip',
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.once('end', () => {
          if (response.statusCode === 200) {
            resolve({ hosts: JSON.parse(text) as HostPriority[], tookMs: performance.now() - fromMs });
          } else {
            reject(new NetloomError('DEMO_FAILED', `/prioritize answered ${response.statusCode}`, { found: text }));
          }
        });
      },
    );
    call.once('error', (cause) => reject(new NetloomError('DEMO_FAILED', '/prioritize cannot be asked', { cause })));
    call.end(body);
  });
}

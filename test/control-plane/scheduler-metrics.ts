import { get } from 'node:https';
import type { Component } from './component.ts';

/** Sum over all series of a metric that have these labels, as written (`result="hint_used"`). Its certificate is its own. */
export async function schedulerMetric(scheduler: Component, name: string, labels = ''): Promise<number> {
  const text = await new Promise<string>((resolve, reject) => {
    const url = `https://127.0.0.1:${scheduler.port}/metrics`;
    get(url, { rejectUnauthorized: false }, (reply) => {
      if (reply.statusCode !== 200) reject(new Error(`${url}: ${reply.statusCode}`));
      let body = '';
      reply.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      reply.on('end', () => resolve(body)).on('error', reject);
    }).on('error', reject);
  });
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

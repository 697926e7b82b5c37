// Apache with mod_oauth2 (Debian: libapache2-mod-oauth2), a resource server in C that knows nothing of ID-JAGs: it takes
// JWT access tokens (RFC 9068) whose keys it fetches by `jwks_uri`.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { LOOPBACK } from '../../dev/server.ts'

const PROGRAM = '/usr/sbin/apache2'
const MODULES = '/usr/lib/apache2/modules'

/** What has to be installed and is not; undefined: nothing. */
export const MISSING = [PROGRAM, `${MODULES}/mod_oauth2.so`].some((file) => !existsSync(file))
  ? 'Apache with mod_oauth2 is not installed here: apt-get install libapache2-mod-oauth2'
  : undefined

export const DOCUMENT = { hello: 'from Apache' }

export type Apache = {
  readonly origin: string
  /** What it wrote down about tokens it did not take. */
  readonly complaints: () => Promise<string>
  readonly close: () => Promise<void>
}

/** Everything under `/api` is for holders of a token of this issuer for this resource; X-User says whom Apache saw. */
export async function startApache(
  port: number,
  verify: { jwksUri: string; issuer: string; audience: string },
): Promise<Apache> {
  const folder = await mkdtemp(join(tmpdir(), 'jagway-apache-'))
  // Started by root it becomes nobody, who has to find the way to the documents.
  await chmod(folder, 0o755)
  await mkdir(join(folder, 'www/api'), { recursive: true })
  await writeFile(join(folder, 'www/api/hello.json'), JSON.stringify(DOCUMENT))
  const modules = ['mpm_event', 'authn_core', 'authz_core', 'headers', 'mime', 'oauth2']
  const lines = [
    `ServerRoot ${folder}`,
    `PidFile ${folder}/pid`,
    `Listen ${LOOPBACK}:${port}`,
    `ServerName ${LOOPBACK}`,
    ...(process.getuid?.() === 0 ? ['User nobody', 'Group nogroup'] : []),
    ...modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`),
    `ErrorLog ${folder}/error.log`,
    `DocumentRoot ${folder}/www`,
    'TypesConfig /dev/null',
    'AddType application/json .json',
    '<Location "/api">',
    '  AuthType oauth2',
    '  OAuth2AcceptTokenIn header',
    `  OAuth2TokenVerify jwks_uri ${verify.jwksUri}`,
    '  OAuth2TargetPass envs=true',
    '  Header always set X-User "expr=%{REMOTE_USER}"',
    '  <RequireAll>',
    `    Require oauth2_claim iss:${verify.issuer}`,
    `    Require oauth2_claim aud:${verify.audience}`,
    '  </RequireAll>',
    '</Location>',
  ]
  await writeFile(join(folder, 'httpd.conf'), `${lines.join('\n')}\n`)
  const child = spawn(PROGRAM, ['-X', '-d', folder, '-f', join(folder, 'httpd.conf')], {
    stdio: 'ignore',
  })
  const complaints = () => readFile(join(folder, 'error.log'), 'utf8').catch(() => '')
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  const close = async () => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true })
  }
  const origin = `http://${LOOPBACK}:${port}`
  for (let tries = 0; !(await answers(origin)); tries++) {
    if (tries > 100 || child.exitCode !== null) {
      const said = await complaints()
      await close()
      throw new Error(`Apache did not start: ${said}`)
    }
    await new Promise((done) => setTimeout(done, 50))
  }
  return { origin, complaints, close }
}

async function answers(origin: string): Promise<boolean> {
  try {
    await (await fetch(`${origin}/api/hello.json`)).body?.cancel()
    return true
  } catch {
    return false
  }
}

// SPDX-License-Identifier: AGPL-3.0-only
// Judges the golden messages of the bus by ajv, which shares nothing with our own codec, and checks that every
// reference of asyncapi.yaml leads somewhere. Usage: node validate.mjs BUS_SCHEMAS_DIR (with node_modules beside it)
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [schemaDir] = process.argv.slice(2)
const require = createRequire(pathToFileURL(join(process.cwd(), 'package.json')))
const Ajv = require('ajv').default
const addFormats = require('ajv-formats').default
const { parse } = require('yaml')

const problems = []
const complain = (where, why) => problems.push(`${where}: ${why}`)
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))
const list = (folder) => readdirSync(join(schemaDir, folder)).sort()

const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false })
addFormats(ajv)
const envelope = ajv.compile(readJson(join(schemaDir, 'envelope.v1.schema.json')))
const bodies = new Map()
for (const file of list('events')) {
  const schema = readJson(join(schemaDir, 'events', file))
  if (!schema.$id.endsWith(`/events/${file}`)) complain(file, `$id is ${schema.$id}`)
  bodies.set(`io.marchproxy.${file.replace('.schema.json', '')}`, ajv.compile(schema))
}

/** `/tier/declined/0` and a missing `reason` as our decoder writes it: `tier.declined[0].reason`. */
function fieldOf(error, prefix) {
  const steps = error.instancePath.split('/').slice(1)
  if (error.params.missingProperty) steps.push(error.params.missingProperty)
  const text = steps.map((step) => (/^\d+$/.test(step) ? `[${step}]` : `.${step}`)).join('')
  return (prefix + text).replace(/^\./, '')
}

function fieldsRefused(message) {
  const fields = []
  if (!envelope(message)) fields.push(...envelope.errors.map((error) => fieldOf(error, '')))
  const body = bodies.get(message.type)
  if (body && !body(message.data)) fields.push(...body.errors.map((error) => fieldOf(error, 'data')))
  return fields
}

let checked = 0
for (const file of list('golden/valid')) {
  const message = readJson(join(schemaDir, 'golden/valid', file))
  if (!bodies.has(message.type)) complain(file, `no schema for ${message.type}`)
  const fields = fieldsRefused(message)
  if (fields.length > 0) complain(file, `refused: ${fields.join(', ')}`)
  checked += 1
}
for (const file of list('golden/invalid')) {
  const { field, event } = readJson(join(schemaDir, 'golden/invalid', file))
  const fields = fieldsRefused(event)
  if (!fields.includes(field)) complain(file, `expected ${field} to be refused, got: ${fields.join(', ') || 'nothing'}`)
  checked += 1
}

const asyncapiPath = join(schemaDir, 'asyncapi.yaml')
const asyncapi = parse(readFileSync(asyncapiPath, 'utf8'))
const referenced = new Set()
let references = 0
function follow(node, where) {
  if (Array.isArray(node)) return node.forEach((item, index) => follow(item, `${where}/${index}`))
  if (node === null || typeof node !== 'object') return
  if (typeof node.$ref === 'string') {
    references += 1
    const [file, pointer] = node.$ref.split('#')
    try {
      const path = file ? resolve(dirname(asyncapiPath), file) : asyncapiPath
      let target = file ? readJson(path) : asyncapi
      for (const step of (pointer ?? '').split('/').slice(1)) target = target[step]
      if (target === undefined) throw new Error('nothing there')
      if (file) referenced.add(file)
    } catch (error) {
      complain(`asyncapi.yaml ${where}`, `${node.$ref}: ${error.message}`)
    }
  }
  for (const [key, value] of Object.entries(node)) follow(value, `${where}/${key}`)
}
follow(asyncapi, '#')
for (const file of list('events'))
  if (!referenced.has(`./events/${file}`)) complain('asyncapi.yaml', `no message uses events/${file}`)
for (const [name, message] of Object.entries(asyncapi.components.messages)) {
  const parts = message.payload.allOf
  if (!parts) continue
  const { type, data } = parts[1].properties
  if (type.const !== message.name || !data.$ref.endsWith(`${message.name.replace('io.marchproxy.', '')}.schema.json`))
    complain(`asyncapi.yaml ${name}`, 'name, type and schema differ')
}

problems.forEach((problem) => console.error(problem))
console.log(`${checked} golden messages, ${bodies.size} schemas, ${references} references, ${problems.length} problems`)
process.exit(problems.length > 0 || checked === 0 ? 1 : 0)

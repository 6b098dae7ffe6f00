import { mount } from 'svelte'
import App from './App.svelte'
import { desk } from './desk.svelte'
import { prefs } from './prefs.svelte'
import './ui/tokens.css'
import './ui/base.css'

prefs.apply()
const target = document.getElementById('app')
if (target) mount(App, { target })
void desk.start()

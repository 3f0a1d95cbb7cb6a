"""Short forms of first names, French and English, each with the name it stands for."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["nickname_roots"]

_ROOTS = """
alexander: alex alec sandy xander alexandre
alexandra: alexa sandra sacha
alfred: alf alfie fred
alice: ally
amelia: amy millie
andrew: andy drew andre
angela: angie
anthony: tony anton antoine toni
antoinette: toinette nettie
arthur: art artie
augustin: gus auguste augustus
aurelie: lili
barbara: babs barb
bartholomew: bart
benjamin: ben benji benny
bernard: bernie nanard
bertrand: bert
brigitte: bri gigi
caroline: caro carrie carolyn
catherine: cathy kate katie kathy cath catharine katherine kathryn kitty cat katharine
cecile: cecilia
charles: charlie chuck charly chas
charlotte: lottie chacha charlie
christian: chris
christine: chris chrissie cricri christina
christopher: chris kit christophe
clement: clem
clementine: clem
constance: connie
corinne: coco
cynthia: cindy
daniel: dan danny dani
danielle: dany
david: dave davy
deborah: debbie deb
delphine: delf
dominique: dom dominic
donald: don donnie
dorothy: dot dottie dolly
edward: ed eddie ned ted teddy edouard edmund
eleanor: ellie nell nora eleonore eleonora
eleonore: leo
elisabeth: liz lizzie beth betty eliza babeth lisbeth elizabeth lili elsie bess betsy
emmanuel: manu manny emanuel
emmanuelle: manue manu
emile: mimile
emily: em emmy emilie
ernest: ernie
evelyn: evie
florence: flo florrie
florian: flo
france: francette
frances: fanny fran
francis: frank franck
francois: fanfan francis
francoise: fanchon soizic
frederic: fred freddy frederick freddie
gabriel: gab gaby
gabrielle: gaby gab
genevieve: ginette vivi
geoffrey: geoff jeff jeffrey
george: georgie georges
georgette: gigi
gerald: gerry jerry
gerard: gege
gilbert: gil bert
gregory: greg gregoire
guillaume: guigui will
harold: harry hal
helen: nell ellen helene
henry: harry hank hal henri
henriette: riette yetta
herbert: herb bert
hippolyte: polo
isabelle: isa zabou belle isabel bella
isidore: izzy
jacob: jake
jacqueline: jackie jacotte
jacques: jacky jacquot
james: jim jimmy jamie jem
janet: jan
jane: janie jenny
jean: jeannot jeje
jeanne: jeannette
jeanbaptiste: jb jean-ba
jeanclaude: jc
jeanfrancois: jf
jeanjacques: jj
jeanlouis: jl
jeanluc: jl
jeanmarc: jm
jeanmarie: jm
jeanmichel: jm jeanmi
jeanpaul: jp
jeanphilippe: jp
jeanpierre: jp
jeanyves: jy
jennifer: jen jenny jenn
jerome: jerry jeje
jessica: jess jessie
john: jack johnny jon jock
jonathan: jon jonny nathan
joseph: joe jo joey jos josef
josephine: jo josie fifi
joshua: josh
judith: judy
julian: jules julien
julie: juju
katell: kat
kenneth: ken kenny
laurence: laurie lolo
laurent: lolo larry lawrence
leonard: leo len lenny
leopold: leo
louis: lewis loulou lou
louise: lou loulou
lucien: lulu
lucy: lulu lucie
madeleine: mado madeline
magali: mag
margaret: maggie meg peggy marge daisy greta margie margot marguerite margaux
marion: mary
martha: patty
martin: marty
mary: molly polly mamie
marie: mimi
marine: marinette
mathilde: tilda mathy
mathieu: mat matt matthieu mathis matthew mattie
maurice: momo
maximilien: max maxime maximilian
melanie: mel
melissa: mel lissa
michael: mike mick micky mikey mickael mikael
michel: mimi mich
michele: mimi
mohamed: momo mohammed mo muhammad mohammad
monique: momo
morgan: momo
nancy: nan
nathalie: nath natacha nat natalie
nathaniel: nat nate
nicholas: nick nico nicky nicolas
nicole: nini nicky
noemie: nono
olivier: oliv oli oliver ollie
pamela: pam
pascal: pasc
pascale: pasc
patricia: pat patty trish tricia patou
patrick: pat paddy patoche
peter: pete
philippe: phil philip phillip pip
pierre: pierrot pedro
raphael: raph
raymond: ray
rebecca: becky becca
reginald: reg reggie
richard: rick dick richie ricky rich
robert: bob bobby rob robbie bert robin
rodolphe: rod
roger: rog
ronald: ron ronnie
rosalie: rosie
rose: rosie
roxane: roxy
rupert: bert
samantha: sam
samuel: sam sammy
sarah: sally sadie sara
sebastien: seb bastien sebastian
simone: momone
solange: soso
sophie: soso fifi sophia
stanislas: stan stanley
stephane: steph
stephanie: steph fanny
stephen: steve steven stevie
susan: sue susie suzy susanna suzanne suzie
sylvain: syl
sylvie: syl
terence: terry
theodore: theo ted teddy
theophile: theo
therese: terry tess theresa teresa
thierry: titi
thomas: tom tommy thom
timothy: tim timmy timothee
valentin: val
valerie: val
veronique: vero
victor: vic vico
victoria: vicky tori
vincent: vince vinny
virginie: ginny virginia nini
walter: walt wally
william: bill billy will willie liam willy wm
xavier: xav
yvonne: vonnie
zacharie: zach zack
"""


def nickname_roots() -> pa.Table:
    """One row per short form and name it may stand for: ``nickname, root``, folded.

    A short form of several names (Chris, Momo) has a row for each; a name is its own root.
    """
    pairs: set[tuple[str, str]] = set()
    for line in _ROOTS.strip().splitlines():
        root, _, forms = line.partition(":")
        pairs.add((root, root))
        pairs.update((form, root) for form in forms.split())
    nicknames, roots = zip(*sorted(pairs), strict=True)
    return pa.table({"nickname": pa.array(nicknames), "root": pa.array(roots)})

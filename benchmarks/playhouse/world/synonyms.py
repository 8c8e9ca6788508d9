"""Other words for what is in the playhouse. The first of each row is the name that labels use."""

from __future__ import annotations


def _rows(text: str) -> dict[str, tuple[str, ...]]:
    rows = [tuple(word.strip() for word in line.split("|")) for line in text.strip().splitlines()]
    return {row[0]: row for row in rows}


PERSONS = _rows("""
man | guy | gentleman | dude | male adult
woman | lady | female adult
boy | kid | little boy | lad | young boy
girl | little girl | child | young girl
""")

# How people call the scene in a tag.
SCENES = _rows("""
beach | seaside | seashore | sandy beach | ocean view | coast
forest | woods | woodland | tall trees
city at night | downtown | night city | skyline | city lights
kitchen | home kitchen | cooking corner
stage | theatre stage | theatre | spotlight | curtain
snow field | snow | snowy field | winter landscape | winter wonderland
desert | sand dunes | dry land | cactus land
playground | park | slide and swing | kids playground
classroom | school | blackboard | school room
living room | lounge | sofa | home | cosy room
street | shopping street | town | city street | sidewalk
mountains | alps | hills | peaks | mountain view
farm | barn | farmland | countryside | red barn
swimming pool | pool | poolside | swimming bath
library | bookshelves | reading room | bookshelf
gym | sports hall | gymnasium | basketball court
harbour | pier | lighthouse | docks | seafront
moon | outer space | lunar surface | space | moon landing
""")

# How captions place something there.
WHERE = _rows("""
beach | on the beach | at the seaside | on the sand by the sea | by the shore
forest | in the forest | in the woods | among the trees
city at night | in the city at night | downtown at night | before the lights of a city
kitchen | in the kitchen | in a kitchen | next to the stove
stage | on stage | on a theatre stage | in the spotlight
snow field | in the snow | on a snowy field | in a winter landscape
desert | in the desert | among the cactuses | on the dry sand
playground | at the playground | in the park | near the slide and the swing
classroom | in the classroom | at school | in front of a blackboard
living room | in the living room | at home near the sofa | in a cosy lounge
street | on the street | in front of the shops | in town
mountains | in the mountains | on a meadow below the peaks | in the alps
farm | on the farm | in front of a red barn | in the countryside
swimming pool | by the swimming pool | at the poolside | at the pool
library | in the library | in front of the bookshelves | between shelves of books
gym | in the gym | in a sports hall | on the basketball court
harbour | at the harbour | on the pier | near the lighthouse
moon | on the moon | in outer space | on the lunar surface
""")
WHERE = {scene: row[1:] for scene, row in WHERE.items()}

MOTIONS = _rows("""
walking left | walking to the left | going left | strolling to the left
walking right | walking to the right | going right | strolling to the right
running left | running to the left | sprinting to the left | jogging left
running right | running to the right | sprinting to the right | jogging right
jumping | leaping | hopping up and down | bouncing
spinning | turning around | twirling | rotating
kicking a ball | playing football | shooting a ball | kicking
waving | waving hello | greeting | waving a hand
crawling | moving on all fours | creeping on the floor
clapping | applauding | clapping hands
dancing | showing dance moves | grooving | moving to a beat
throwing a ball | pitching a ball | tossing a ball | throwing
climbing | climbing a ladder | going up a ladder
falling over | tumbling | falling down | tripping over
sitting down | taking a seat | sitting on a stool
doing push-ups | doing pushups | exercising on the floor | working out
bowing | taking a bow | bending forward
""")

OBJECTS = _rows("""
ball | beach ball | toy ball
dog | puppy | doggo
cat | kitty | kitten
car | automobile | vehicle
bicycle | bike
umbrella | parasol
guitar | acoustic guitar
chair | seat
table | desk
lamp | light
book | novel
cup | mug
bottle | flask
balloon | party balloon
kite | flying kite
flower | plant | flower pot
bird | little bird
horse | pony
boat | sailboat | sailing boat
skateboard | board
television | tv | old tv
clock | alarm clock
drum | percussion
box | gift | present
bench | park bench
pizza | slice of pizza
cake | birthday cake
apple | red apple
banana | bananas
robot | android
laptop | notebook
teddy bear | stuffed animal | teddy
suitcase | luggage | baggage
rocket | spaceship
bus | coach
pumpkin | jack o lantern
sheep | lamb
duck | rubber duck
ladder | wooden ladder
traffic cone | pylon
airplane | plane | aircraft
""")

TOPICS = _rows("""
doctor | physician
money | cash
movie | film
photo | picture
airport | flying
army | military
church | faith
dinosaur | fossils
economy | finance
election | voting
football | soccer
government | state
health | wellness
holiday | vacation
hospital | clinic
hotel | accommodation
lawyer | attorney
marriage | married life
mathematics | maths
medicine | pharmacy
museum | exhibition
newspaper | press
planet | astronomy
police | cops
prison | jail
railroad | trains
restaurant | dining out
science | research
shopping | buying things
surgery | operation
teacher | teaching
university | college
volcano | eruption
weather | forecast
wedding | getting married
""")


def also(table: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    """The name and its other words; only the name where none is known."""
    return table.get(name, (name,))
